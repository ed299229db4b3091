import { randomUUID } from "node:crypto";
import { Metadata } from "@grpc/grpc-js";
import type { TraceHook } from "./trace.js";

/** Options that every call takes. */
export interface CallOptions {
  /** Aborting it ends the call, and the provider's work with it. */
  signal?: AbortSignal | undefined;
  /** Time until the deadline; null is no deadline. Left out, the client's {@link Timeouts} apply. */
  timeoutMs?: number | null | undefined;
  /** The call's `x-request-id`; made when left out. */
  requestId?: string | undefined;
  /** While a call with the same key is under way, another is refused with DuplicateRequest. */
  idempotencyKey?: string | undefined;
  /** Who is served first when the gateway is full. */
  priority?: "interactive" | "batch" | undefined;
  /** Sent besides. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/** Deadlines of calls that set none themselves; null is no deadline. */
export interface Timeouts {
  /** Default 600,000. */
  chatMs: number | null;
  /** Default 120,000. */
  embedMs: number | null;
  /** Default 3,600,000. */
  embedAllMs: number | null;
  /** For models, providers, usage and limits; default 10,000. */
  readMs: number | null;
  /** Default null. */
  watchMs: number | null;
}

export const TIMEOUTS: Timeouts = {
  chatMs: 600_000,
  embedMs: 120_000,
  embedAllMs: 3_600_000,
  readMs: 10_000,
  watchMs: null,
};

/** One call about to be made. */
export interface Call {
  readonly requestId: string;
  readonly metadata: Metadata;
  /** A moment as `Date.now` counts; undefined is no deadline. */
  readonly deadline: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Who calls: what goes with every call. */
export class Caller {
  constructor(
    private readonly apiKey: string | undefined,
    private readonly tenant: string | undefined,
    private readonly trace: TraceHook | undefined,
  ) {}

  /** The id, deadline and metadata of a call with these options. */
  call(options: CallOptions, defaultMs: number | null): Call {
    const headers = this.headers(options);
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const timeoutMs = options.timeoutMs === undefined ? defaultMs : options.timeoutMs;
    return {
      requestId: headers["x-request-id"],
      metadata,
      deadline: timeoutMs === null ? undefined : Date.now() + timeoutMs,
      signal: options.signal,
    };
  }

  private headers(options: CallOptions): Record<string, string> & { "x-request-id": string } {
    const headers: Record<string, string> = {};
    this.trace?.(headers);
    if (this.apiKey !== undefined) headers["authorization"] = `Bearer ${this.apiKey}`;
    if (this.tenant !== undefined) headers["x-tenant-id"] = this.tenant;
    if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
    if (options.priority !== undefined) headers["x-priority"] = options.priority;
    return { "x-request-id": options.requestId ?? randomUUID(), ...headers, ...options.metadata };
  }
}
