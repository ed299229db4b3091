package dev.turnout.client.errors;

/** Every target that was tried failed: {@link #attempts} tells how. */
public final class ProviderFailedException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  ProviderFailedException(Failure failure) {
    super(failure);
  }
}
