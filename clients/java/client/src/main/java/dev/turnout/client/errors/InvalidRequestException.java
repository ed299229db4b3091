package dev.turnout.client.errors;

/** The request breaks a rule, or the provider refused it; {@link #violations} names the fields. */
public class InvalidRequestException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  InvalidRequestException(Failure failure) {
    super(failure);
  }
}
