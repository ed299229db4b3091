/** Compares everything that a case wants with what there was. */
import { expect } from "vitest";
import type { Answer, TurnoutError } from "../src/index.js";
import type { Case, SeenCall, Want, WantSeen } from "./smoke_cases.js";

/** What the client showed its caller. */
export interface Outcome {
  answer?: Answer | undefined;
  error?: TurnoutError;
  vectors: Map<number, Float32Array>;
  failed: Record<string, string>;
  names: string[];
}

export function check(row: Case, outcome: Outcome, requestId: string, seen: SeenCall[]): void {
  const { want } = row;
  const { error } = outcome;
  // Leaving an iterator is a cancel that JavaScript does not tell as an error.
  const quiet = row.client === undefined ? "OK" : "CANCELLED";
  expect(error?.code ?? quiet).toBe(want.status);
  checkAnswer(want, outcome.answer ?? error?.partial);
  if (want.error !== undefined) checkError(want.error, error, requestId);
  if (want.embeddings !== undefined) checkEmbeddings(want.embeddings, outcome);
  if (want.names !== undefined) expect(outcome.names).toEqual(want.names);
  if (want.server !== undefined) checkSeen(want.server, seen);
}

function checkAnswer(want: Want, answer: Answer | undefined): void {
  if (want.text !== undefined) expect(answer?.text).toBe(want.text);
  if (want.text_size_bytes !== undefined) {
    expect(Buffer.byteLength(answer?.text ?? "")).toBe(want.text_size_bytes);
  }
  if (want.thinking !== undefined) expect(answer?.thinking).toBe(want.thinking);
  expect(answer?.finishReason).toBe(want.finish_reason);
  if (want.generation !== undefined) expect(answer?.generation).toBe(want.generation);
  if (want.tool_calls !== undefined) {
    expect(answer?.toolCalls.map(inSnakeCase)).toEqual(want.tool_calls);
  }
  checkFields(answer?.usage, want.usage);
  checkFields(answer?.route, want.route);
}

function checkError(
  want: NonNullable<Want["error"]>,
  error: TurnoutError | undefined,
  requestId: string,
): void {
  expect(error?.reason).toBe(want.reason);
  expect(error?.requestId).toBe(requestId);
  if (want.retryable !== undefined) expect(error?.retryable).toBe(want.retryable);
  if (want.output_started !== undefined) expect(error?.outputStarted).toBe(want.output_started);
  if (want.retry_delay_ms !== undefined) expect(error?.retryDelayMs).toBe(want.retry_delay_ms);
  if (want.attempts !== undefined) expect(error?.attempts).toHaveLength(want.attempts);
  if (want.violations !== undefined) {
    expect(error?.violations.map(({ field }) => field)).toEqual(want.violations);
  }
  checkFields(error?.usage, want.usage);
}

function checkEmbeddings(want: NonNullable<Want["embeddings"]>, outcome: Outcome): void {
  expect(outcome.vectors.size).toBe(want.count);
  expect(outcome.failed).toEqual(want.failed ?? {});
  for (const [position, vector] of outcome.vectors) {
    expect([vector.length, vector[0]]).toEqual([want.dimensions, position]);
  }
}

function checkSeen(want: WantSeen, seen: SeenCall[]): void {
  const [first, second] = seen;
  const last = seen.at(-1);
  expect(seen.length).toBeGreaterThanOrEqual(want.calls ?? want.calls_at_least ?? 1);
  expect(seen.length).toBeLessThanOrEqual(want.calls ?? want.calls_at_most ?? Infinity);
  if (want.outcome !== undefined) expect(last?.outcome).toBe(want.outcome);
  if (want.has_deadline !== undefined) {
    for (const call of seen) expect(call.has_deadline).toBe(want.has_deadline);
  }
  if (want.gap_at_least_ms !== undefined) {
    const gapMs = (second?.started_ms ?? 0) - (first?.ended_ms ?? 0);
    expect(gapMs).toBeGreaterThanOrEqual(want.gap_at_least_ms);
  }
  expect(last?.metadata).toMatchObject(want.metadata ?? {});
  if (want.trace_id !== undefined) {
    expect(last?.metadata["traceparent"]?.split("-")[1]).toBe(want.trace_id);
  }
  expect(last?.request_size_bytes).toBeGreaterThanOrEqual(want.request_size_at_least_bytes ?? 0);
  if (want.unanswered_items_at_most !== undefined) {
    expect(last?.unanswered_items_at_most).toBeGreaterThan(0);
    expect(last?.unanswered_items_at_most).toBeLessThanOrEqual(want.unanswered_items_at_most);
  }
  expect(last?.upstreams_open).toBe(want.upstreams_open ?? last?.upstreams_open);
}

function checkFields(message: object | undefined, want: Record<string, unknown> = {}): void {
  const had = inSnakeCase(message ?? {});
  for (const [name, value] of Object.entries(want)) {
    expect(typeof had[name] === "bigint" ? Number(had[name]) : had[name], name).toBe(value);
  }
}

function inSnakeCase(message: object): Record<string, unknown> {
  const entries = Object.entries(message) as [string, unknown][];
  return Object.fromEntries(
    entries.map(([key, value]) => [key.replace(/[A-Z]/g, (big) => `_${big.toLowerCase()}`), value]),
  );
}
