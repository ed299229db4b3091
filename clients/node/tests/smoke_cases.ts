/** The table of clients/smoke, as far as a client reads it, and what the server saw. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ChatRequest } from "../src/gen/turnout/v1/chat_service.js";
import type { CallOptions } from "../src/index.js";

type Fields = Record<string, unknown>;

/** What must come of a case. */
export interface Want {
  status: string;
  text?: string;
  thinking?: string;
  text_size_bytes?: number;
  tool_calls?: { id: string; name: string; arguments_json: string }[];
  finish_reason?: string;
  generation?: number;
  usage?: Record<string, number>;
  route?: Fields;
  error?: {
    reason: string;
    retryable?: boolean;
    output_started?: boolean;
    retry_delay_ms?: number;
    attempts?: number;
    usage?: Record<string, number>;
    violations?: string[];
  };
  embeddings?: { count: number; dimensions: number; failed?: Record<string, string> };
  names?: string[];
  server?: WantSeen;
}

/** What the server must have seen. */
export interface WantSeen {
  calls?: number;
  calls_at_least?: number;
  calls_at_most?: number;
  outcome?: string;
  has_deadline?: boolean;
  gap_at_least_ms?: number;
  metadata?: Record<string, string>;
  trace_id?: string;
  request_size_at_least_bytes?: number;
  unanswered_items_at_most?: number;
  upstreams_open?: number;
}

/** One row of the table. */
export interface Case {
  name: string;
  method: string;
  request: { model: string; name: string; dimensions: number; inputType?: string };
  fill?: { message_text_size_bytes?: number; texts?: number };
  api_key?: string;
  metadata?: Record<string, string>;
  traceparent?: string;
  deadline_ms?: number;
  client?: { cancel_after_deltas?: number; cancel_after_messages?: number };
  want: Want;
}

/** One call as the server saw it. */
export interface SeenCall {
  metadata: Record<string, string>;
  has_deadline: boolean;
  started_ms: number;
  ended_ms: number;
  outcome: string;
  request_size_bytes: number;
  unanswered_items_at_most: number;
  upstreams_open: number;
}

const FILE =
  process.env["SMOKE_CASES"] ?? join(import.meta.dirname, "..", "..", "smoke", "cases.json");

export const CASES = (JSON.parse(readFileSync(FILE, "utf8")) as { cases: Case[] }).cases;

/** The case of this name. */
export function caseOf(name: string): Case {
  const found = CASES.find((row) => row.name === name);
  if (found === undefined) throw new Error(`there is no case ${name}`);
  return found;
}

export function chatRequestOf({ request, fill }: Case): ChatRequest {
  const made = ChatRequest.fromJSON(request);
  const [first] = made.messages;
  if (first && fill?.message_text_size_bytes) first.text = "x".repeat(fill.message_text_size_bytes);
  return made;
}

export function textsOf({ fill }: Case): string[] {
  return Array.from({ length: fill?.texts ?? 0 }, (_, index) => `text ${index}`);
}

export function optionsOf({ metadata = {}, deadline_ms }: Case, requestId: string): CallOptions {
  return {
    requestId,
    idempotencyKey: metadata["idempotency-key"],
    priority: metadata["x-priority"] as "batch" | undefined,
    timeoutMs: deadline_ms,
  };
}

/** The calls with this id, once they have ended. */
export async function callsSeen(report: string, requestId: string): Promise<SeenCall[]> {
  const response = await fetch(`${report}/calls?request_id=${encodeURIComponent(requestId)}`);
  return ((await response.json()) as { calls: SeenCall[] }).calls;
}
