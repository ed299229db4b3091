package dev.turnout.client.errors;

/** A limit of the tenant's own. */
public class LimitExceededException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  LimitExceededException(Failure failure) {
    super(failure);
  }
}
