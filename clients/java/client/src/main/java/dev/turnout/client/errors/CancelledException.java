package dev.turnout.client.errors;

/** The call was cancelled. */
public final class CancelledException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  CancelledException(Failure failure) {
    super(failure);
  }
}
