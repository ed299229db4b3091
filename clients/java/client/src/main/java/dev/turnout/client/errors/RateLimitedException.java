package dev.turnout.client.errors;

/** The tenant is over its rate limit; {@link #retryDelay} says when it is not. */
public final class RateLimitedException extends LimitExceededException {
  private static final long serialVersionUID = 1L;

  RateLimitedException(Failure failure) {
    super(failure);
  }
}
