/**
 * Typed errors, from the ErrorDetail that every failed call of the gateway carries.
 *
 * ```text
 * TurnoutError
 * ├── InvalidRequest            a rule was broken: `violations` names every field
 * │   ├── ContextLengthExceeded
 * │   ├── PromptBlocked
 * │   ├── TooLarge
 * │   └── UnsupportedCapability
 * ├── ModelNotFound
 * ├── Unauthenticated
 * ├── Forbidden
 * ├── LimitExceeded             the tenant's own
 * │   ├── RateLimited
 * │   └── BudgetExhausted
 * ├── DuplicateRequest
 * ├── Unavailable               the gateway is full, stopping or out of reach
 * ├── ProviderFailed            all that was tried failed: `attempts` tells how
 * ├── StreamInterrupted         output was cut off: `partial` is what came
 * ├── DeadlineExceeded
 * ├── Cancelled                 `cause` is the signal's reason
 * ├── InternalError
 * └── Restarted                 no failure: what was read is void, the stream goes on
 * ```
 */
import type { status } from "@grpc/grpc-js";
import type { Answer } from "./answer.js";
import { millisecondsOf } from "./durations.js";
import type { AttemptFailure, ErrorDetail, ErrorReason } from "./gen/turnout/v1/errors.js";
import type { Usage } from "./gen/turnout/v1/usage.js";
import type { Violation } from "./status_details.js";

/** Name of a gRPC status code, such as `UNAVAILABLE`. */
export type StatusName = keyof typeof status;

/** Why a call failed: the contract's name, `RESTARTED`, a newer reason's number, or "" for none. */
export type Reason =
  Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | "RESTARTED" | `${number}` | "";

/** What an error is made of. */
export interface ErrorParts {
  code: StatusName;
  requestId: string;
  reason?: Reason | undefined;
  retryable?: boolean | undefined;
  outputStarted?: boolean | undefined;
  detail?: ErrorDetail | undefined;
  violations?: readonly Violation[] | undefined;
  partial?: Answer | undefined;
  cause?: unknown;
}

/** A call failed. Catch this, or one of the classes below it. */
export class TurnoutError extends Error {
  override readonly name: string;
  readonly code: StatusName;
  /** Why, in the contract's words; "" when the status is not the gateway's own. */
  readonly reason: Reason;
  /** What the status says, without the fields and names that `message` has besides. */
  readonly details: string;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** How long to wait before that; undefined when unknown. */
  readonly retryDelayMs: number | undefined;
  /** Whether output came before the failure. */
  readonly outputStarted: boolean;
  /** What the gateway tried, the last 8 at most. */
  readonly attempts: readonly AttemptFailure[];
  /** What was used all the same; undefined when not told. */
  readonly usage: Usage | undefined;
  /** For the logs: the call's `x-request-id`. */
  readonly requestId: string;
  /** Fields of the request and what is wrong with each. */
  readonly violations: readonly Violation[];
  /** Of a stream, what came before it failed. */
  readonly partial: Answer | undefined;

  constructor(details: string, parts: ErrorParts) {
    const { detail, violations = [], reason = "" } = parts;
    const requestId = detail?.requestId || parts.requestId;
    const fields = violations
      .map(({ field, description }) => `; ${field}: ${description}`)
      .join("");
    const what = reason === "" ? parts.code : `${reason}, ${parts.code}`;
    const options = parts.cause === undefined ? undefined : { cause: parts.cause };
    super(`${details}${fields} (${what}, request ${requestId || "unknown"})`, options);
    this.name = new.target.name;
    this.code = parts.code;
    this.reason = reason;
    this.details = details;
    this.retryable = detail?.retryable ?? parts.retryable ?? false;
    this.retryDelayMs = detail?.retryDelay && millisecondsOf(detail.retryDelay);
    this.outputStarted = (detail?.outputStarted || parts.outputStarted) ?? false;
    this.attempts = detail?.attempts ?? [];
    this.usage = detail?.usage;
    this.requestId = requestId;
    this.violations = violations;
    this.partial = parts.partial;
  }
}

/** The request breaks a rule, or the provider refused it; `violations` names the fields. */
export class InvalidRequest extends TurnoutError {}

/** The conversation does not fit the context window. */
export class ContextLengthExceeded extends InvalidRequest {}

/** The provider would not read the prompt. */
export class PromptBlocked extends InvalidRequest {}

/** The request, or its answer, would be too large. */
export class TooLarge extends InvalidRequest {}

/** No target can do what the request needs. */
export class UnsupportedCapability extends InvalidRequest {}

/** There is no such model. */
export class ModelNotFound extends TurnoutError {}

/** The caller did not prove who it is. */
export class Unauthenticated extends TurnoutError {}

/** The caller may not do this, or not with this model. */
export class Forbidden extends TurnoutError {}

/** A limit of the tenant's. */
export class LimitExceeded extends TurnoutError {}

/** The tenant is over its rate limit; `retryDelayMs` says when it is not. */
export class RateLimited extends LimitExceeded {}

/** The tenant has spent its budget. */
export class BudgetExhausted extends LimitExceeded {}

/** A call with the same idempotency key is under way. */
export class DuplicateRequest extends TurnoutError {}

/** The gateway is full, about to stop or out of reach. */
export class Unavailable extends TurnoutError {}

/** Every target that was tried failed; `attempts` tells how, `reason` why the last did. */
export class ProviderFailed extends TurnoutError {}

/** The answer was cut off after output began; `partial` is what came, `usage` what it took. */
export class StreamInterrupted extends TurnoutError {}

/** The call's deadline passed. */
export class DeadlineExceeded extends TurnoutError {}

/** The call was cancelled; with an AbortSignal, `cause` is its reason. */
export class Cancelled extends TurnoutError {}

/** A fault of the gateway's own. */
export class InternalError extends TurnoutError {}

/**
 * The gateway starts the answer over: text read so far, in `partial`, is void.
 *
 * The stream is still open: iterate on to get the new answer from its beginning.
 */
export class Restarted extends TurnoutError {}
