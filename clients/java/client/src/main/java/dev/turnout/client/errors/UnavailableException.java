package dev.turnout.client.errors;

/** The gateway is full, about to stop or out of reach. */
public final class UnavailableException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  UnavailableException(Failure failure) {
    super(failure);
  }
}
