package dev.turnout.client;

import dev.turnout.v1.ToolCall;
import dev.turnout.v1.ToolCallDelta;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Joins the pieces of tool calls; a whole call replaces its pieces. */
final class ToolCallPieces {
  private static final class Open {
    String id = "";
    String name = "";
    final StringBuilder argumentsJson = new StringBuilder();

    ToolCall toCall() {
      return ToolCall.newBuilder()
          .setId(id)
          .setName(name)
          .setArgumentsJson(argumentsJson.toString())
          .build();
    }
  }

  private final Map<String, Open> byKey = new LinkedHashMap<>();
  private final Map<Integer, String> keyOfPart = new HashMap<>();

  /** Pieces of parallel calls interleave, and only a call's first piece has its id. */
  void add(int partIndex, ToolCallDelta piece) {
    if (!piece.getId().isEmpty() || !keyOfPart.containsKey(partIndex)) {
      keyOfPart.put(partIndex, keyOf(piece.getId(), partIndex));
    }
    Open call = byKey.computeIfAbsent(keyOfPart.get(partIndex), key -> new Open());
    if (!piece.getId().isEmpty()) {
      call.id = piece.getId();
    }
    if (!piece.getName().isEmpty()) {
      call.name = piece.getName();
    }
    call.argumentsJson.append(piece.getArgumentsJsonDelta());
  }

  void put(int partIndex, ToolCall whole) {
    Open call = byKey.computeIfAbsent(keyOf(whole.getId(), partIndex), key -> new Open());
    call.id = whole.getId();
    call.name = whole.getName();
    call.argumentsJson.setLength(0);
    call.argumentsJson.append(whole.getArgumentsJson());
  }

  List<ToolCall> calls() {
    return byKey.values().stream().map(Open::toCall).toList();
  }

  private static String keyOf(String id, int partIndex) {
    return id.isEmpty() ? Integer.toString(partIndex) : id;
  }
}
