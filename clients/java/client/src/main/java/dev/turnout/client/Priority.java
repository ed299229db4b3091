package dev.turnout.client;

/** What the gateway serves first when it is full. */
public enum Priority {
  /** Somebody waits for the answer. */
  INTERACTIVE,
  /** Nobody does. */
  BATCH
}
