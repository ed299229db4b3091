/**
 * Makes the stubs in src/gen from the contract in protos/.
 *
 *   npm run gen              makes them anew
 *   npm run gen -- --check   fails when those kept are not what the contract makes
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HOME = dirname(dirname(fileURLToPath(import.meta.url)));
const KEPT = join(HOME, "src", "gen");

/** Makes the stubs into a folder. */
function make(folder) {
  const buf = join(HOME, "node_modules", ".bin", "buf");
  execFileSync(buf, ["generate", "--output", folder], { cwd: HOME, stdio: "inherit" });
}

/** Reads all files below a folder, by their path in it. */
function read(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return new Map(
    files.map((file) => {
      const path = join(file.parentPath, file.name);
      return [path.slice(folder.length + 1), readFileSync(path, "utf8")];
    }),
  );
}

/** Lists the files that are missing, left over or different. */
function differences(made, kept) {
  const paths = new Set([...made.keys(), ...kept.keys()]);
  return [...paths].filter((path) => made.get(path) !== kept.get(path)).sort();
}

const fresh = mkdtempSync(join(tmpdir(), "turnout-gen-"));
try {
  make(fresh);
  if (process.argv.includes("--check")) {
    const found = differences(read(fresh), read(KEPT));
    if (found.length > 0) {
      console.error(`not what the contract makes (npm run gen):\n  ${found.join("\n  ")}`);
      process.exitCode = 1;
    }
  } else {
    rmSync(KEPT, { recursive: true, force: true });
    cpSync(fresh, KEPT, { recursive: true });
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
