package dev.turnout.client.smoke;

import dev.turnout.client.Embedded;
import dev.turnout.client.EmbedStream;
import dev.turnout.client.Priority;
import dev.turnout.client.TurnoutClient;
import dev.turnout.client.errors.TurnoutException;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import dev.turnout.v1.EmbedOptions;
import dev.turnout.v1.EmbedRequest;
import dev.turnout.v1.ErrorReason;
import dev.turnout.v1.GetModelRequest;
import dev.turnout.v1.Limit;
import dev.turnout.v1.Model;
import dev.turnout.v1.ProviderStatus;
import dev.turnout.v1.QueryUsageRequest;
import java.time.Duration;
import java.util.List;
import java.util.Locale;

/** Makes a case's call as a caller would, and keeps what came of it. */
final class Caller {
  private static final int WINDOW = 1024;

  private final SmokeCase smokeCase;
  private final TurnoutClient client;
  private final Outcome outcome = new Outcome();

  Caller(SmokeCase smokeCase, TurnoutClient shared, String requestId) {
    this.smokeCase = smokeCase;
    this.client = settingsOf(smokeCase, shared.withRequestId(requestId));
  }

  private static TurnoutClient settingsOf(SmokeCase smokeCase, TurnoutClient client) {
    TurnoutClient set = client;
    var metadata = smokeCase.metadata();
    if (metadata.has("x-priority")) {
      String priority = metadata.get("x-priority").getAsString();
      set = set.withPriority(Priority.valueOf(priority.toUpperCase(Locale.ROOT)));
    }
    if (metadata.has("idempotency-key")) {
      set = set.withIdempotencyKey(metadata.get("idempotency-key").getAsString());
    }
    return smokeCase
        .text("deadline_ms")
        .map(ms -> Duration.ofMillis(Long.parseLong(ms)))
        .map(set::withTimeout)
        .orElse(set);
  }

  Outcome call() {
    try {
      switch (smokeCase.method()) {
        case "Chat" -> chat();
        case "CompleteChat" -> outcome.answer = client.complete(chatRequest());
        case "Embed" -> embed();
        case "EmbedStream" -> embedAll();
        case "ListModels" -> client.models().stream().map(Model::getName).forEach(this::add);
        case "GetModel" -> {
          String name = smokeCase.request(GetModelRequest.newBuilder()).getName();
          add(client.model(name).getName());
        }
        case "ListProviders" -> addProviders(client.providers());
        case "WatchProviders" -> watch();
        case "QueryUsage" -> usage();
        case "GetLimits" -> client.limits().stream().map(Limit::getId).forEach(this::add);
        default -> throw new IllegalArgumentException(smokeCase.method());
      }
    } catch (TurnoutException failed) {
      outcome.error = failed;
    }
    return outcome;
  }

  private ChatRequest chatRequest() {
    var request = smokeCase.request(ChatRequest.newBuilder());
    smokeCase
        .fill("message_text_size_bytes")
        .ifPresent(size -> request.getMessagesBuilder(0).setText("x".repeat(size)));
    return request.build();
  }

  private void chat() {
    int leaveAfter = smokeCase.client("cancel_after_deltas").orElse(-1);
    int deltas = 0;
    try (var stream = client.chat(chatRequest())) {
      try {
        for (ChatResponse event : stream.events()) {
          deltas += event.hasTextDelta() ? 1 : 0;
          if (deltas == leaveAfter) {
            stream.cancel();
          }
        }
      } finally {
        outcome.answer = stream.answer();
      }
    }
  }

  private void embed() {
    var request = smokeCase.request(EmbedRequest.newBuilder()).addAllTexts(smokeCase.texts());
    List<float[]> vectors = client.embed(request.build()).vectors();
    for (int i = 0; i < vectors.size(); i++) {
      outcome.vectors.put((long) i, vectors.get(i));
    }
  }

  private void embedAll() {
    EmbedOptions options = smokeCase.request(EmbedOptions.newBuilder()).build();
    try (EmbedStream results = client.embedAll(options, smokeCase.texts(), WINDOW)) {
      for (Embedded each : results) {
        if (each.error() == null) {
          outcome.vectors.put(each.position(), each.vector());
        } else {
          outcome.failed.put(Long.toString(each.position()), nameOf(each.error().reason()));
        }
      }
    }
  }

  private void watch() {
    int leaveAfter = smokeCase.client("cancel_after_messages").orElse(-1);
    int messages = 0;
    try (var watch = client.watchProviders()) {
      for (List<ProviderStatus> changed : watch) {
        addProviders(changed);
        if (++messages == leaveAfter) {
          watch.cancel();
        }
      }
    }
  }

  private void usage() {
    var request = smokeCase.request(QueryUsageRequest.newBuilder()).build();
    client.usage(request).forEach(row -> add(row.getDimensionValues(0)));
  }

  private void addProviders(List<ProviderStatus> providers) {
    providers.stream().map(ProviderStatus::getProvider).forEach(this::add);
  }

  private void add(String name) {
    outcome.names.add(name);
  }

  static String nameOf(ErrorReason reason) {
    return reason.name().replaceFirst("^ERROR_REASON_", "");
  }
}
