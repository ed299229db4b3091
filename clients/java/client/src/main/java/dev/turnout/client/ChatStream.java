package dev.turnout.client;

import dev.turnout.client.errors.CallState;
import dev.turnout.client.errors.Failures;
import dev.turnout.client.errors.RestartedException;
import dev.turnout.client.errors.TurnoutException;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import io.grpc.StatusRuntimeException;
import java.util.function.Consumer;

/**
 * An answer under way: text as it comes, every event, or all of it at once.
 *
 * <p>One thread reads. Reading blocks, and never runs far ahead of the caller: who stops reading
 * stops the server. Closing early ends the call, and the provider's work with it; so does
 * interrupting the reading thread. Every failure is a {@link TurnoutException}, also a stream that
 * ends with OK but without its {@code finish}.
 */
public final class ChatStream implements AutoCloseable {
  private final Inbox<ChatRequest, ChatResponse> inbox;
  private final String requestId;
  private final Assembly assembly = new Assembly();
  private Consumer<Answer> onRestart;
  private Answer voided;
  private String held = "";
  private boolean over;

  ChatStream(Inbox<ChatRequest, ChatResponse> inbox, String requestId) {
    this.inbox = inbox;
    this.requestId = requestId;
  }

  /**
   * Text as it comes.
   *
   * <p>Where the request allows restarts, iterating throws {@link RestartedException} when text
   * that was read is void: clear what was shown and call this again, or set {@link #onRestart}.
   *
   * @return the pieces, to be iterated over once
   */
  public Iterable<String> text() {
    return () -> new Pull<>(this::nextText);
  }

  /**
   * Every event as it comes, whatever its generation, {@code finish} last.
   *
   * @return the events, to be iterated over once
   */
  public Iterable<ChatResponse> events() {
    return () -> new Pull<>(this::read);
  }

  /**
   * Read to the end. Of an answer that was started over, the last generation alone is returned.
   *
   * @return the whole answer
   * @throws TurnoutException when the call fails; {@link TurnoutException#partialText} and {@link
   *     #answer} then hold what came
   */
  public Answer collect() {
    while (read() != null) {
      // Reading is what adds up.
    }
    return answer();
  }

  /**
   * What has been read so far, also after a failure.
   *
   * @return the answer as it stands
   */
  public Answer answer() {
    return assembly.answer();
  }

  /**
   * Call this instead of throwing when the gateway starts the answer over.
   *
   * @param listener given what is void, on the reading thread
   * @return this stream
   */
  public ChatStream onRestart(Consumer<Answer> listener) {
    onRestart = listener;
    return this;
  }

  /**
   * The call's {@code x-request-id}.
   *
   * @return the id it was sent with
   */
  public String requestId() {
    return requestId;
  }

  /** End the call from any thread. Who reads gets a CancelledException. */
  public void cancel() {
    inbox.cancel();
  }

  /** End the call unless it has ended. */
  @Override
  public void close() {
    if (!over) {
      over = true;
      inbox.cancel();
    }
  }

  private String nextText() {
    if (!held.isEmpty()) {
      String text = held;
      held = "";
      return text;
    }
    for (ChatResponse event = read(); event != null; event = read()) {
      String text = event.getTextDelta();
      if (voided != null) {
        tellOfRestart(text);
      }
      if (!text.isEmpty()) {
        return text;
      }
    }
    return null;
  }

  private void tellOfRestart(String textAfter) {
    String gone = voided.text();
    voided = null;
    if (!gone.isEmpty()) {
      held = textAfter;
      throw Failures.restarted(new CallState(requestId, true, gone));
    }
  }

  private ChatResponse read() {
    if (over) {
      return null;
    }
    ChatResponse event;
    try {
      event = inbox.take();
    } catch (StatusRuntimeException failed) {
      over = true;
      throw Failures.of(failed, assembly.state(requestId));
    }
    if (event == null) {
      over = true;
      if (!assembly.isFinished()) {
        throw Failures.withoutEnd(assembly.state(requestId));
      }
      return null;
    }
    Answer before = assembly.feed(event);
    if (before != null && onRestart != null) {
      onRestart.accept(before);
    } else if (before != null) {
      voided = before;
    }
    return event;
  }
}
