package dev.turnout.client.errors;

/** The caller may not do this, or not with this model. */
public final class ForbiddenException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  ForbiddenException(Failure failure) {
    super(failure);
  }
}
