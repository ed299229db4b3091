/**
 * Runs clients/smoke/server.py for all tests, by $PYTHON or the repository's own environment, unless
 * SMOKE_SERVER is the file of one that runs.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestProject } from "vitest/node";

/** Where the server is. */
export interface SmokeServer {
  address: string;
  report: string;
  api_key: string;
}

declare module "vitest" {
  interface ProvidedContext {
    smoke: SmokeServer;
  }
}

const CLIENTS = join(import.meta.dirname, "..", "..");
const PYTHON = process.env["PYTHON"] ?? join(CLIENTS, "..", ".venv", "bin", "python");

export default async function start(project: TestProject): Promise<() => void> {
  const given = process.env["SMOKE_SERVER"];
  if (given !== undefined) {
    provide(project, given);
    return () => undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), "turnout-smoke-"));
  const portFile = join(folder, "ready.json");
  const script = join(CLIENTS, "smoke", "server.py");
  const server = spawn(PYTHON, [script, "--port-file", portFile, "--with-parent"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  let broken = false as boolean;
  server.on("error", () => (broken = true));
  server.on("exit", () => (broken = true));
  while (!existsSync(portFile)) {
    if (broken) throw new Error(`${PYTHON} did not start the smoke server: run make setup`);
    await sleep(20);
  }
  provide(project, portFile);
  return () => {
    server.stdin.end();
    rmSync(folder, { recursive: true });
  };
}

function provide(project: TestProject, portFile: string): void {
  project.provide("smoke", JSON.parse(readFileSync(portFile, "utf8")) as SmokeServer);
}
