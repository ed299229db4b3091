package turnout

import (
	"strings"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// A Reason says why a call failed: a name of the contract's ErrorReason, without its prefix. It is
// "" where only a status is known, and a number for a reason newer than this client.
type Reason string

// The reasons of turnout.v1; the stubs' ErrorReason says what each means.
const (
	ReasonInvalidRequest         Reason = "INVALID_REQUEST"
	ReasonModelNotFound          Reason = "MODEL_NOT_FOUND"
	ReasonUnsupportedCapability  Reason = "UNSUPPORTED_CAPABILITY"
	ReasonContextLengthExceeded  Reason = "CONTEXT_LENGTH_EXCEEDED"
	ReasonTooLarge               Reason = "TOO_LARGE"
	ReasonPromptBlocked          Reason = "PROMPT_BLOCKED"
	ReasonProviderRejected       Reason = "PROVIDER_REJECTED"
	ReasonUnauthenticated        Reason = "UNAUTHENTICATED"
	ReasonForbidden              Reason = "FORBIDDEN"
	ReasonRateLimited            Reason = "RATE_LIMITED"
	ReasonBudgetExhausted        Reason = "BUDGET_EXHAUSTED"
	ReasonOverloaded             Reason = "OVERLOADED"
	ReasonShuttingDown           Reason = "SHUTTING_DOWN"
	ReasonProviderRateLimited    Reason = "PROVIDER_RATE_LIMITED"
	ReasonProviderQuotaExhausted Reason = "PROVIDER_QUOTA_EXHAUSTED"
	ReasonProviderOverloaded     Reason = "PROVIDER_OVERLOADED"
	ReasonProviderError          Reason = "PROVIDER_ERROR"
	ReasonProviderTimeout        Reason = "PROVIDER_TIMEOUT"
	ReasonProviderUnreachable    Reason = "PROVIDER_UNREACHABLE"
	ReasonProviderAuthFailed     Reason = "PROVIDER_AUTH_FAILED"
	ReasonProviderCircuitOpen    Reason = "PROVIDER_CIRCUIT_OPEN"
	ReasonStreamInterrupted      Reason = "STREAM_INTERRUPTED"
	ReasonDeadlineExceeded       Reason = "DEADLINE_EXCEEDED"
	ReasonDuplicateRequest       Reason = "DUPLICATE_REQUEST"
	ReasonInternal               Reason = "INTERNAL"
)

func reasonOf(reason turnoutv1.ErrorReason) Reason {
	return Reason(strings.TrimPrefix(reason.String(), "ERROR_REASON_"))
}
