package dev.turnout.client.errors;

/** The provider would not read the prompt. */
public final class PromptBlockedException extends InvalidRequestException {
  private static final long serialVersionUID = 1L;

  PromptBlockedException(Failure failure) {
    super(failure);
  }
}
