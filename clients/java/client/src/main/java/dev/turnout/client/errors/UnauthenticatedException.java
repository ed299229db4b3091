package dev.turnout.client.errors;

/** The caller did not prove who it is. */
public final class UnauthenticatedException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  UnauthenticatedException(Failure failure) {
    super(failure);
  }
}
