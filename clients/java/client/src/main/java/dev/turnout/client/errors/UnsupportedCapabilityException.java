package dev.turnout.client.errors;

/** No target can do what the request needs. */
public final class UnsupportedCapabilityException extends InvalidRequestException {
  private static final long serialVersionUID = 1L;

  UnsupportedCapabilityException(Failure failure) {
    super(failure);
  }
}
