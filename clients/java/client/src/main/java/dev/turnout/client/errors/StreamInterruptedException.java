package dev.turnout.client.errors;

/** The answer was cut off: {@link #partialText} is what came, {@link #usage} what it took. */
public final class StreamInterruptedException extends TurnoutException {
  private static final long serialVersionUID = 1L;

  StreamInterruptedException(Failure failure) {
    super(failure);
  }
}
