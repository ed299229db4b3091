package dev.turnout.client.errors;

/** The request, or its answer, would be too large. */
public final class TooLargeException extends InvalidRequestException {
  private static final long serialVersionUID = 1L;

  TooLargeException(Failure failure) {
    super(failure);
  }
}
