package dev.turnout.client.errors;

import dev.turnout.v1.AttemptFailure;
import dev.turnout.v1.ErrorReason;
import dev.turnout.v1.Usage;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * A call failed. Catch this, or one of the classes below it.
 *
 * <pre>
 * TurnoutException
 * ├── InvalidRequestException           a rule was broken: violations() names every field
 * │   ├── ContextLengthExceededException
 * │   ├── PromptBlockedException
 * │   ├── TooLargeException
 * │   └── UnsupportedCapabilityException
 * ├── ModelNotFoundException
 * ├── UnauthenticatedException
 * ├── ForbiddenException
 * ├── LimitExceededException            the tenant's own
 * │   ├── RateLimitedException
 * │   └── BudgetExhaustedException
 * ├── DuplicateRequestException
 * ├── UnavailableException              the gateway is full, stopping or out of reach
 * ├── ProviderFailedException           all that was tried failed: attempts() tells how
 * ├── StreamInterruptedException        output was cut off: partialText() is what came
 * ├── DeadlineExceededException
 * ├── CancelledException
 * ├── InternalErrorException
 * └── RestartedException                no failure: what was read is void, the stream goes on
 * </pre>
 *
 * <p>A reason of a contract newer than this client comes as this class itself.
 */
public class TurnoutException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Transient as gRPC's own status is: these exceptions are not meant to be serialized. */
  private final transient Failure failure;

  TurnoutException(Failure failure) {
    super(failure.message());
    this.failure = failure;
  }

  /**
   * The status of the call.
   *
   * @return its gRPC code; OK where one text of {@code embedAll} failed alone
   */
  public Status.Code code() {
    return failure.code();
  }

  /**
   * Why the call failed.
   *
   * @return UNSPECIFIED when nobody said, UNRECOGNIZED when this client is too old to know
   */
  public ErrorReason reason() {
    return failure.reason();
  }

  /**
   * Whether the same call may succeed later.
   *
   * @return false also after output, since a blind repetition would tell it twice
   */
  public boolean retryable() {
    return failure.retryable();
  }

  /**
   * How long to wait before trying again.
   *
   * @return empty when the gateway did not say
   */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(failure.retryDelay());
  }

  /**
   * Whether any output came before the failure.
   *
   * @return true also when that output is void by now
   */
  public boolean outputStarted() {
    return failure.outputStarted();
  }

  /**
   * What the gateway tried.
   *
   * @return the last 8 attempts at most, in order
   */
  public List<AttemptFailure> attempts() {
    return failure.attempts();
  }

  /**
   * What was used all the same.
   *
   * @return empty when the gateway did not say
   */
  public Optional<Usage> usage() {
    return Optional.ofNullable(failure.usage());
  }

  /**
   * The call's {@code x-request-id}: by it the gateway's logs tell the rest.
   *
   * @return "" when it is not known
   */
  public String requestId() {
    return failure.requestId();
  }

  /**
   * What is wrong with the request.
   *
   * @return every field at once
   */
  public List<FieldViolation> violations() {
    return failure.violations();
  }

  /**
   * The text that a stream brought before it failed.
   *
   * @return of the last generation alone; "" for calls that are no stream
   */
  public String partialText() {
    return failure.partialText();
  }

  @Override
  public String getMessage() {
    var text = new StringBuilder(failure.message());
    for (FieldViolation violation : failure.violations()) {
      text.append("; ").append(violation.field()).append(": ").append(violation.description());
    }
    String id = failure.requestId().isEmpty() ? "unknown" : failure.requestId();
    return text.append(" (")
        .append(Reasons.nameOf(failure.reason()))
        .append(", ")
        .append(failure.code())
        .append(", request ")
        .append(id)
        .append(')')
        .toString();
  }
}
