package dev.turnout.client.errors;

/**
 * The gateway starts the answer over: text read so far, in {@link #partialText}, is void.
 *
 * <p>The stream is still open: read on to get the new answer from its beginning.
 */
public final class RestartedException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  RestartedException(Failure failure) {
    super(failure);
  }
}
