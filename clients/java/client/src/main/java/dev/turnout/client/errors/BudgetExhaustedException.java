package dev.turnout.client.errors;

/** The tenant has spent its budget. */
public final class BudgetExhaustedException extends LimitExceededException {
  private static final long serialVersionUID = 1L;

  BudgetExhaustedException(Failure failure) {
    super(failure);
  }
}
