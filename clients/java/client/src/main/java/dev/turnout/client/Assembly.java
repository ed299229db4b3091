package dev.turnout.client;

import dev.turnout.client.errors.CallState;
import dev.turnout.v1.ChatResponse;
import dev.turnout.v1.Finish;

/** Adds up the events of one stream. No I/O, one thread. */
final class Assembly {
  private final StringBuilder text = new StringBuilder();
  private final StringBuilder thinking = new StringBuilder();
  private ToolCallPieces toolCalls = new ToolCallPieces();
  private Finish finish;
  private int generation;
  private boolean started;

  /** Add an event. Returns what it voids when it begins a new generation, else null. */
  Answer feed(ChatResponse event) {
    Answer voided = null;
    if (event.getGeneration() > generation) {
      voided = answer();
      restart(event.getGeneration());
    }
    switch (event.getEventCase()) {
      case TEXT_DELTA -> {
        started = true;
        text.append(event.getTextDelta());
      }
      case THINKING_DELTA -> {
        started = true;
        thinking.append(event.getThinkingDelta());
      }
      case TOOL_CALL_DELTA -> {
        started = true;
        toolCalls.add(event.getPartIndex(), event.getToolCallDelta());
      }
      case TOOL_CALL -> {
        started = true;
        toolCalls.put(event.getPartIndex(), event.getToolCall());
      }
      case FINISH -> finish = event.getFinish();
      default -> {
        // Progress, or an event of a newer contract: nothing of the answer.
      }
    }
    return voided;
  }

  private void restart(int next) {
    generation = next;
    text.setLength(0);
    thinking.setLength(0);
    toolCalls = new ToolCallPieces();
    finish = null;
  }

  boolean isFinished() {
    return finish != null;
  }

  /** All that is known by now. */
  Answer answer() {
    return new Answer(
        text.toString(),
        thinking.toString(),
        toolCalls.calls(),
        finish == null ? Finish.getDefaultInstance() : finish,
        generation);
  }

  /** What an exception is to tell of the call. */
  CallState state(String requestId) {
    return new CallState(requestId, started, text.toString());
  }
}
