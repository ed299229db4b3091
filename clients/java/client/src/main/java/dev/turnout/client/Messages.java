package dev.turnout.client;

import com.google.protobuf.ByteString;
import dev.turnout.v1.Media;
import dev.turnout.v1.Message;
import dev.turnout.v1.Part;
import dev.turnout.v1.Role;
import dev.turnout.v1.ToolResult;
import java.util.List;

/** Turns of a conversation, for a static import. */
public final class Messages {
  private Messages() {}

  /**
   * What the user says.
   *
   * @param text the words
   * @return the turn
   */
  public static Message user(String text) {
    return turn(Role.ROLE_USER, text);
  }

  /**
   * What the user says and shows.
   *
   * @param text the words
   * @param media what goes with them, in order
   * @return the turn
   */
  public static Message user(String text, Media... media) {
    var message = Message.newBuilder().setRole(Role.ROLE_USER);
    message.addParts(Part.newBuilder().setText(text));
    for (Media each : media) {
      message.addParts(Part.newBuilder().setMedia(each));
    }
    return message.build();
  }

  /**
   * What the model is to keep to.
   *
   * @param text the words
   * @return the turn
   */
  public static Message system(String text) {
    return turn(Role.ROLE_SYSTEM, text);
  }

  /**
   * What the model said; {@link Answer#message} keeps more of an answer than its text.
   *
   * @param text the words
   * @return the turn
   */
  public static Message assistant(String text) {
    return turn(Role.ROLE_ASSISTANT, text);
  }

  /**
   * What the tools gave: all results of one turn go together.
   *
   * @param results in any order
   * @return the turn
   */
  public static Message toolResults(ToolResult... results) {
    var parts =
        List.of(results).stream()
            .map(each -> Part.newBuilder().setToolResult(each).build())
            .toList();
    return Message.newBuilder().setRole(Role.ROLE_TOOL).addAllParts(parts).build();
  }

  /**
   * What one tool gave.
   *
   * @param toolCallId of the call it answers
   * @param text the result
   * @return the result, for {@link #toolResults}
   */
  public static ToolResult toolResult(String toolCallId, String text) {
    return ToolResult.newBuilder().setToolCallId(toolCallId).setText(text).build();
  }

  /**
   * An image, a sound or a document by its bytes.
   *
   * @param mimeType such as {@code image/png}
   * @param data the bytes as they are, not base64
   * @return the part, for {@link #user(String, Media...)}
   */
  public static Media media(String mimeType, byte[] data) {
    return Media.newBuilder().setMimeType(mimeType).setData(ByteString.copyFrom(data)).build();
  }

  private static Message turn(Role role, String text) {
    return Message.newBuilder().setRole(role).setText(text).build();
  }
}
