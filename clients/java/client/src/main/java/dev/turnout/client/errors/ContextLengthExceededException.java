package dev.turnout.client.errors;

/** The conversation does not fit the context window. */
public final class ContextLengthExceededException extends InvalidRequestException {
  private static final long serialVersionUID = 1L;

  ContextLengthExceededException(Failure failure) {
    super(failure);
  }
}
