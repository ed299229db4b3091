package dev.turnout.client;

import dev.turnout.v1.CompleteChatResponse;
import dev.turnout.v1.Finish;
import dev.turnout.v1.FinishReason;
import dev.turnout.v1.Message;
import dev.turnout.v1.Part;
import dev.turnout.v1.Role;
import dev.turnout.v1.Route;
import dev.turnout.v1.ToolCall;
import dev.turnout.v1.Usage;
import java.util.List;
import java.util.stream.Collectors;

/**
 * An answer, or as much of it as there is.
 *
 * @param text all text
 * @param thinking all thinking, when it was asked for
 * @param toolCalls the calls the model asks for, in order; the JSON of one that has not ended is
 *     cut where it stands
 * @param finish how it ended; the default instance until then
 * @param generation how often the gateway started over; what was voided is gone
 */
public record Answer(
    String text, String thinking, List<ToolCall> toolCalls, Finish finish, int generation) {

  /**
   * Whether the answer is whole.
   *
   * @return false while it goes on, and when it was cut off
   */
  public boolean isFinished() {
    return !finish.equals(Finish.getDefaultInstance());
  }

  /**
   * Why the model stopped.
   *
   * @return UNSPECIFIED until the answer has ended
   */
  public FinishReason finishReason() {
    return finish.getReason();
  }

  /**
   * Tokens and cost.
   *
   * @return the default instance until the answer has ended
   */
  public Usage usage() {
    return finish.getUsage();
  }

  /**
   * Who answered.
   *
   * @return the default instance until the answer has ended
   */
  public Route route() {
    return finish.getRoute();
  }

  /**
   * The answer as the assistant's turn, to be sent back with what comes next.
   *
   * <p>With thinking or signatures only a request that sets {@code stream.final_message} gives a
   * turn that providers accept.
   *
   * @return the turn
   */
  public Message message() {
    if (finish.hasMessage()) {
      return finish.getMessage();
    }
    var message = Message.newBuilder().setRole(Role.ROLE_ASSISTANT);
    if (!text.isEmpty()) {
      message.addParts(Part.newBuilder().setText(text));
    }
    toolCalls.forEach(call -> message.addParts(Part.newBuilder().setToolCall(call)));
    return message.build();
  }

  static Answer of(CompleteChatResponse response) {
    String thinking =
        response.getFinish().getMessage().getPartsList().stream()
            .map(part -> part.getThinking().getText())
            .collect(Collectors.joining());
    return new Answer(
        response.getText(), thinking, response.getToolCallsList(), response.getFinish(), 0);
  }
}
