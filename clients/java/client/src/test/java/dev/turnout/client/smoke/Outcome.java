package dev.turnout.client.smoke;

import dev.turnout.client.Answer;
import dev.turnout.client.errors.TurnoutException;
import dev.turnout.v1.Finish;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What the client showed its caller. */
final class Outcome {
  Answer answer = new Answer("", "", List.of(), Finish.getDefaultInstance(), 0);
  TurnoutException error;
  final Map<Long, float[]> vectors = new HashMap<>();
  final Map<String, String> failed = new HashMap<>();
  final List<String> names = new ArrayList<>();
}
