package dev.turnout.client.errors;

/** There is no such model. */
public final class ModelNotFoundException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  ModelNotFoundException(Failure failure) {
    super(failure);
  }
}
