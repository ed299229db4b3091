/** What README.md shows, compiled against the built package as a caller would, and run. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { caseOf } from "./smoke_cases.js";

const HOME = join(import.meta.dirname, "..");
const TSC = join(HOME, "node_modules", "typescript", "bin", "tsc");
const TYPESCRIPT = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "NodeNext",
    strict: true,
    types: ["node"],
    outDir: "made",
  },
};

const caller = mkdtempSync(join(tmpdir(), "turnout-readme-"));
const readme = readFileSync(join(HOME, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((block) => block[1] ?? "");
const quickStart = blocks[0] ?? "";

async function node(...parameters: string[]): Promise<string> {
  const ran = promisify(execFile)(process.execPath, parameters, { cwd: caller });
  return ran.then(
    ({ stdout }) => stdout,
    (error: unknown) => {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(stdout + stderr);
    },
  );
}

beforeAll(async () => {
  await node(TSC, "-p", join(HOME, "tsconfig.build.json"));
  mkdirSync(join(caller, "node_modules", "@turnout"), { recursive: true });
  symlinkSync(HOME, join(caller, "node_modules", "@turnout", "client"));
  symlinkSync(join(HOME, "node_modules", "@types"), join(caller, "node_modules", "@types"));
  writeFileSync(join(caller, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(caller, "tsconfig.json"), JSON.stringify(TYPESCRIPT));
  const { address, api_key: apiKey } = inject("smoke");
  const here = `${JSON.stringify(address)}, ${JSON.stringify({ apiKey })}`;
  blocks.forEach((block, number) => {
    writeFileSync(join(caller, `block${number}.ts`), block);
  });
  writeFileSync(join(caller, "quick.ts"), quickStart.replace('"localhost:50051"', here));
  await node(TSC);
}, 60_000);

afterAll(() => {
  rmSync(caller, { recursive: true });
});

test("the quick start streams text in at most ten lines", async () => {
  expect(quickStart.trim().split("\n").length).toBeLessThanOrEqual(10);
  expect(await node(join("made", "quick.js"))).toBe(caseOf("streams_text").want.text);
});

test("the contract's messages can be imported by their files", async () => {
  const look = 'import { Role } from "@turnout/client/v1/content"; console.log(Role.USER);';
  writeFileSync(join(caller, "stubs.js"), look);
  expect(await node("stubs.js")).toBe("2\n");
});
