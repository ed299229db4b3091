package dev.turnout.client.smoke;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import dev.turnout.client.Answer;
import dev.turnout.client.errors.FieldViolation;
import dev.turnout.client.errors.TurnoutException;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.StreamSupport;

/** Compares all that a case wants with what there was. */
final class Wants {
  private final JsonObject want;

  Wants(JsonObject want) {
    this.want = want;
  }

  void check(Outcome outcome, String requestId, JsonArray seen) {
    String status = outcome.error == null ? "OK" : outcome.error.code().name();
    assertEquals(text("status"), status, () -> String.valueOf(outcome.error));
    checkAnswer(outcome.answer);
    when("error", error -> checkError(error.getAsJsonObject(), outcome.error, requestId));
    when("embeddings", embeddings -> checkVectors(embeddings.getAsJsonObject(), outcome));
    when("names", names -> assertEquals(strings(names), outcome.names));
    when("server", server -> new Wants(server.getAsJsonObject()).checkSeen(seen));
  }

  private void checkAnswer(Answer answer) {
    when("text", text -> assertEquals(text.getAsString(), answer.text()));
    when("text_size_bytes", size -> assertEquals(size.getAsInt(), answer.text().length()));
    when("thinking", thinking -> assertEquals(thinking.getAsString(), answer.thinking()));
    when("tool_calls", calls -> assertEquals(calls, toolCalls(answer)));
    when("finish_reason", reason ->
        assertEquals("FINISH_REASON_" + reason.getAsString(), answer.finishReason().name()));
    assertEquals(want.has("finish_reason"), answer.isFinished());
    when("generation", generation -> assertEquals(generation.getAsInt(), answer.generation()));
    when("usage", usage -> checkFields(usage, answer.usage()));
    when("route", route -> checkFields(route, answer.route()));
  }

  private static JsonArray toolCalls(Answer answer) {
    var calls = new JsonArray();
    answer.toolCalls().forEach(call -> {
      var told = new JsonObject();
      told.addProperty("id", call.getId());
      told.addProperty("name", call.getName());
      told.addProperty("arguments_json", call.getArgumentsJson());
      calls.add(told);
    });
    return calls;
  }

  private static void checkFields(JsonElement wanted, Message message) {
    var type = message.getDescriptorForType();
    wanted.getAsJsonObject().entrySet().forEach(each ->
        assertEquals(
            each.getValue().getAsString(),
            String.valueOf(message.getField(type.findFieldByName(each.getKey()))),
            each.getKey()));
  }

  private static void checkError(JsonObject wanted, TurnoutException error, String requestId) {
    assertNotNull(error);
    var wants = new Wants(wanted);
    assertEquals(wants.text("reason"), Caller.nameOf(error.reason()));
    assertEquals(requestId, error.requestId());
    wants.when("retryable", is -> assertEquals(is.getAsBoolean(), error.retryable()));
    wants.when("output_started", is -> assertEquals(is.getAsBoolean(), error.outputStarted()));
    wants.when("retry_delay_ms", ms ->
        assertEquals(ms.getAsLong(), error.retryDelay().orElseThrow().toMillis()));
    wants.when("attempts", count -> assertEquals(count.getAsInt(), error.attempts().size()));
    wants.when("usage", usage -> checkFields(usage, error.usage().orElseThrow()));
    wants.when("violations", fields -> assertEquals(
        strings(fields), error.violations().stream().map(FieldViolation::field).toList()));
  }

  private static void checkVectors(JsonObject wanted, Outcome outcome) {
    assertEquals(wanted.get("count").getAsInt(), outcome.vectors.size());
    outcome.vectors.forEach((position, vector) -> {
      assertEquals(wanted.get("dimensions").getAsInt(), vector.length);
      assertEquals(position.floatValue(), vector[0]);
    });
    var failed = new JsonObject();
    outcome.failed.forEach(failed::addProperty);
    assertEquals(
        wanted.has("failed") ? wanted.getAsJsonObject("failed") : new JsonObject(), failed);
  }

  private void checkSeen(JsonArray seen) {
    JsonObject last = seen.get(seen.size() - 1).getAsJsonObject();
    when("calls", count -> assertEquals(count.getAsInt(), seen.size()));
    when("calls_at_least", count -> assertTrue(seen.size() >= count.getAsInt()));
    when("calls_at_most", count -> assertTrue(seen.size() <= count.getAsInt()));
    when("outcome", outcome -> assertEquals(outcome, last.get("outcome")));
    when("has_deadline", has ->
        seen.forEach(call -> assertEquals(has, call.getAsJsonObject().get("has_deadline"))));
    when("gap_at_least_ms", gap -> assertTrue(gapMs(seen) >= gap.getAsDouble()));
    JsonObject metadata = last.getAsJsonObject("metadata");
    when("metadata", pairs -> pairs.getAsJsonObject().entrySet().forEach(each ->
        assertEquals(each.getValue(), metadata.get(each.getKey()))));
    when("trace_id", id -> assertEquals(
        id.getAsString(), metadata.get("traceparent").getAsString().split("-")[1]));
    when("request_size_at_least_bytes", size ->
        assertTrue(last.get("request_size_bytes").getAsLong() >= size.getAsLong()));
    when("unanswered_items_at_most", most -> {
      int unanswered = last.get("unanswered_items_at_most").getAsInt();
      assertTrue(0 < unanswered && unanswered <= most.getAsInt(), () -> "were " + unanswered);
    });
    when("upstreams_open", open -> assertEquals(open, last.get("upstreams_open")));
  }

  private static double gapMs(JsonArray seen) {
    return seen.get(1).getAsJsonObject().get("started_ms").getAsDouble()
        - seen.get(0).getAsJsonObject().get("ended_ms").getAsDouble();
  }

  private String text(String key) {
    return want.get(key).getAsString();
  }

  private void when(String key, Consumer<JsonElement> check) {
    if (want.has(key)) {
      check.accept(want.get(key));
    }
  }

  private static List<String> strings(JsonElement array) {
    return StreamSupport.stream(array.getAsJsonArray().spliterator(), false)
        .map(JsonElement::getAsString)
        .toList();
  }
}
