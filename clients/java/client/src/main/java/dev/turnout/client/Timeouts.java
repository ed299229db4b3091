package dev.turnout.client;

import java.time.Duration;

/**
 * Deadlines of calls that set none themselves; null is no deadline.
 *
 * @param chat of {@code chat} and {@code complete}
 * @param embed of {@code embed}
 * @param embedAll of {@code embedAll}
 * @param read of models, providers, usage and limits
 * @param watch of {@code watchProviders}
 */
public record Timeouts(
    Duration chat, Duration embed, Duration embedAll, Duration read, Duration watch) {

  /** 10 minutes for chat, 2 for a batch of texts, an hour for any number, 10 s for reads. */
  public static final Timeouts DEFAULT =
      new Timeouts(
          Duration.ofMinutes(10),
          Duration.ofMinutes(2),
          Duration.ofHours(1),
          Duration.ofSeconds(10),
          null);
}
