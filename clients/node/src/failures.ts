import { status, type StatusObject } from "@grpc/grpc-js";
import type { Answer } from "./answer.js";
import * as errors from "./errors.js";
import type { Reason, StatusName, TurnoutError } from "./errors.js";
import { ErrorReason } from "./gen/turnout/v1/errors.js";
import { detailsOf } from "./status_details.js";

type ErrorClass = typeof TurnoutError;

const BY_REASON: { readonly [reason in Reason]?: ErrorClass } = {
  INVALID_REQUEST: errors.InvalidRequest,
  PROVIDER_REJECTED: errors.InvalidRequest,
  CONTEXT_LENGTH_EXCEEDED: errors.ContextLengthExceeded,
  PROMPT_BLOCKED: errors.PromptBlocked,
  TOO_LARGE: errors.TooLarge,
  UNSUPPORTED_CAPABILITY: errors.UnsupportedCapability,
  MODEL_NOT_FOUND: errors.ModelNotFound,
  UNAUTHENTICATED: errors.Unauthenticated,
  FORBIDDEN: errors.Forbidden,
  RATE_LIMITED: errors.RateLimited,
  BUDGET_EXHAUSTED: errors.BudgetExhausted,
  DUPLICATE_REQUEST: errors.DuplicateRequest,
  OVERLOADED: errors.Unavailable,
  SHUTTING_DOWN: errors.Unavailable,
  STREAM_INTERRUPTED: errors.StreamInterrupted,
  DEADLINE_EXCEEDED: errors.DeadlineExceeded,
  INTERNAL: errors.InternalError,
};

const BY_CODE: { readonly [code in StatusName]?: ErrorClass } = {
  CANCELLED: errors.Cancelled,
  INVALID_ARGUMENT: errors.InvalidRequest,
  UNAUTHENTICATED: errors.Unauthenticated,
  PERMISSION_DENIED: errors.Forbidden,
  UNAVAILABLE: errors.Unavailable,
  INTERNAL: errors.InternalError,
};

/** What the client knows of a call that failed. */
export interface FailedCall {
  requestId: string;
  /** Whether output had come. */
  started?: boolean;
  partial?: Answer | undefined;
  signal?: AbortSignal | undefined;
}

/** The typed error of a failed call. */
export function failureOf(failed: StatusObject, call: FailedCall): TurnoutError {
  const code = (status[failed.code] as StatusName | undefined) ?? "UNKNOWN";
  const message = failed.details || code;
  const { detail, violations } = detailsOf(failed.metadata);
  const known = {
    code,
    requestId: call.requestId,
    outputStarted: call.started,
    partial: call.partial,
  };
  if (detail !== undefined) {
    const reason = reasonName(detail.reason);
    return new (classOf(reason))(message, { ...known, reason, detail, violations });
  }
  // A status that a proxy or the library itself made: the gateway's own always has details.
  if (code === "DEADLINE_EXCEEDED") {
    return new errors.DeadlineExceeded(message, { ...known, reason: code });
  }
  if (call.started && code !== "CANCELLED") {
    // Whatever broke it, what was delivered must not be asked for again blindly.
    return new errors.StreamInterrupted(message, { ...known, reason: "STREAM_INTERRUPTED" });
  }
  const cause: unknown = code === "CANCELLED" ? call.signal?.reason : undefined;
  const kind = BY_CODE[code] ?? errors.TurnoutError;
  return new kind(message, { ...known, retryable: kind === errors.Unavailable, cause });
}

/** The error of a stream whose status was OK though its last message never came. */
export function noFinish({ requestId, started, partial }: FailedCall): TurnoutError {
  return new errors.StreamInterrupted("the stream ended before the answer did", {
    code: "UNKNOWN",
    reason: "STREAM_INTERRUPTED",
    requestId,
    outputStarted: started,
    partial,
  });
}

/** The class for a reason of the contract; TurnoutError for one that is newer than this. */
export function classOf(reason: Reason): ErrorClass {
  const kind = BY_REASON[reason];
  if (kind !== undefined) return kind;
  return reason.startsWith("PROVIDER_") ? errors.ProviderFailed : errors.TurnoutError;
}

/** `RATE_LIMITED` for ErrorReason.RATE_LIMITED; the bare number for a newer one. */
export function reasonName(reason: ErrorReason): Reason {
  return (ErrorReason[reason] as Reason | undefined) ?? `${reason}`;
}
