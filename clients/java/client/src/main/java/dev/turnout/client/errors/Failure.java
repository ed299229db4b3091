package dev.turnout.client.errors;

import dev.turnout.v1.AttemptFailure;
import dev.turnout.v1.ErrorDetail;
import dev.turnout.v1.ErrorReason;
import dev.turnout.v1.Usage;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;

/** All that a {@link TurnoutException} tells; {@code retryDelay} and {@code usage} may be null. */
record Failure(
    String message,
    Status.Code code,
    ErrorReason reason,
    boolean retryable,
    Duration retryDelay,
    boolean outputStarted,
    List<AttemptFailure> attempts,
    Usage usage,
    String requestId,
    List<FieldViolation> violations,
    String partialText) {

  /** A failure that the gateway itself did not describe. */
  static Failure undescribed(
      String message, Status.Code code, ErrorReason reason, boolean retryable, CallState state) {
    return new Failure(
        message,
        code,
        reason,
        retryable,
        null,
        state.outputStarted(),
        List.of(),
        null,
        state.requestId(),
        List.of(),
        state.partialText());
  }

  /** A failure as the gateway describes it. */
  static Failure described(
      String message,
      Status.Code code,
      ErrorDetail detail,
      List<FieldViolation> violations,
      CallState state) {
    var delay = detail.getRetryDelay();
    return new Failure(
        message,
        code,
        detail.getReason(),
        detail.getRetryable(),
        detail.hasRetryDelay() ? Duration.ofSeconds(delay.getSeconds(), delay.getNanos()) : null,
        detail.getOutputStarted() || state.outputStarted(),
        List.copyOf(detail.getAttemptsList()),
        detail.hasUsage() ? detail.getUsage() : null,
        detail.getRequestId().isEmpty() ? state.requestId() : detail.getRequestId(),
        violations,
        state.partialText());
  }
}
