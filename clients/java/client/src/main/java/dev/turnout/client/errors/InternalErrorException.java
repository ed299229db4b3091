package dev.turnout.client.errors;

/** A fault of the gateway's own. */
public final class InternalErrorException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  InternalErrorException(Failure failure) {
    super(failure);
  }
}
