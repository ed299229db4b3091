package dev.turnout.client.smoke;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.turnout.client.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/** A row of clients/smoke/cases.json. */
record SmokeCase(JsonObject row) {
  static List<SmokeCase> all() throws IOException {
    String given = System.getenv("SMOKE_CASES");
    Path file = given == null ? Repository.file("clients/smoke/cases.json") : Path.of(given);
    String table = Files.readString(file);
    var rows = JsonParser.parseString(table).getAsJsonObject().getAsJsonArray("cases");
    return StreamSupport.stream(rows.spliterator(), false)
        .map(row -> new SmokeCase(row.getAsJsonObject()))
        .toList();
  }

  @Override
  public String toString() {
    return row.get("name").getAsString();
  }

  String method() {
    return row.get("method").getAsString();
  }

  JsonObject want() {
    return row.getAsJsonObject("want");
  }

  Optional<String> text(String key) {
    return Optional.ofNullable(row.get(key)).map(JsonElement::getAsString);
  }

  Optional<Integer> client(String key) {
    return number("client", key);
  }

  Optional<Integer> fill(String key) {
    return number("fill", key);
  }

  JsonObject metadata() {
    return row.has("metadata") ? row.getAsJsonObject("metadata") : new JsonObject();
  }

  List<String> texts() {
    return IntStream.range(0, fill("texts").orElse(0)).mapToObj(n -> "text " + n).toList();
  }

  /** The request, parsed into the builder that is given. */
  <B extends Message.Builder> B request(B builder) {
    try {
      JsonFormat.parser().merge(row.getAsJsonObject("request").toString(), builder);
    } catch (InvalidProtocolBufferException malformed) {
      throw new IllegalArgumentException(malformed);
    }
    return builder;
  }

  private Optional<Integer> number(String group, String key) {
    return Optional.ofNullable(row.getAsJsonObject(group))
        .map(found -> found.get(key))
        .map(JsonElement::getAsInt);
  }
}
