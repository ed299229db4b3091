package dev.turnout.client.errors;

/** A call with the same idempotency key is under way. */
public final class DuplicateRequestException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  DuplicateRequestException(Failure failure) {
    super(failure);
  }
}
