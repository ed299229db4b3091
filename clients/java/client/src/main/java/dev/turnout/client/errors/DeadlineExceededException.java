package dev.turnout.client.errors;

/** The call's deadline passed. */
public final class DeadlineExceededException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(Failure failure) {
    super(failure);
  }
}
