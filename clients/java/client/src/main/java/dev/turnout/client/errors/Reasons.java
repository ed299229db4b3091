package dev.turnout.client.errors;

import dev.turnout.v1.ErrorReason;
import io.grpc.Status;

/** Which exception a reason of the contract becomes. */
final class Reasons {
  private static final String PREFIX = "ERROR_REASON_";

  private Reasons() {}

  /** {@code RATE_LIMITED} for {@code ERROR_REASON_RATE_LIMITED}. */
  static String nameOf(ErrorReason reason) {
    String name = reason.name();
    return name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : name;
  }

  static TurnoutException exceptionFor(Failure failure) {
    return switch (failure.reason()) {
      case ERROR_REASON_INVALID_REQUEST, ERROR_REASON_PROVIDER_REJECTED ->
          new InvalidRequestException(failure);
      case ERROR_REASON_CONTEXT_LENGTH_EXCEEDED -> new ContextLengthExceededException(failure);
      case ERROR_REASON_PROMPT_BLOCKED -> new PromptBlockedException(failure);
      case ERROR_REASON_TOO_LARGE -> new TooLargeException(failure);
      case ERROR_REASON_UNSUPPORTED_CAPABILITY -> new UnsupportedCapabilityException(failure);
      case ERROR_REASON_MODEL_NOT_FOUND -> new ModelNotFoundException(failure);
      case ERROR_REASON_UNAUTHENTICATED -> new UnauthenticatedException(failure);
      case ERROR_REASON_FORBIDDEN -> new ForbiddenException(failure);
      case ERROR_REASON_RATE_LIMITED -> new RateLimitedException(failure);
      case ERROR_REASON_BUDGET_EXHAUSTED -> new BudgetExhaustedException(failure);
      case ERROR_REASON_DUPLICATE_REQUEST -> new DuplicateRequestException(failure);
      case ERROR_REASON_OVERLOADED, ERROR_REASON_SHUTTING_DOWN -> new UnavailableException(failure);
      case ERROR_REASON_PROVIDER_RATE_LIMITED,
          ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED,
          ERROR_REASON_PROVIDER_OVERLOADED,
          ERROR_REASON_PROVIDER_ERROR,
          ERROR_REASON_PROVIDER_TIMEOUT,
          ERROR_REASON_PROVIDER_UNREACHABLE,
          ERROR_REASON_PROVIDER_AUTH_FAILED,
          ERROR_REASON_PROVIDER_CIRCUIT_OPEN ->
          new ProviderFailedException(failure);
      case ERROR_REASON_STREAM_INTERRUPTED -> new StreamInterruptedException(failure);
      case ERROR_REASON_DEADLINE_EXCEEDED -> new DeadlineExceededException(failure);
      case ERROR_REASON_INTERNAL -> new InternalErrorException(failure);
      case ERROR_REASON_UNSPECIFIED, UNRECOGNIZED -> exceptionFor(failure.code(), failure);
    };
  }

  /** For a status that says no reason we know: a proxy's, the library's, a newer gateway's. */
  private static TurnoutException exceptionFor(Status.Code code, Failure failure) {
    return switch (code) {
      case CANCELLED -> new CancelledException(failure);
      case INVALID_ARGUMENT -> new InvalidRequestException(failure);
      case UNAUTHENTICATED -> new UnauthenticatedException(failure);
      case PERMISSION_DENIED -> new ForbiddenException(failure);
      case UNAVAILABLE -> new UnavailableException(failure);
      case INTERNAL -> new InternalErrorException(failure);
      default -> new TurnoutException(failure);
    };
  }
}
