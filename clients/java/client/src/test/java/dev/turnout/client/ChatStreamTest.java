package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.turnout.client.errors.CancelledException;
import dev.turnout.client.errors.DeadlineExceededException;
import dev.turnout.client.errors.RestartedException;
import dev.turnout.client.errors.StreamInterruptedException;
import dev.turnout.client.errors.UnavailableException;
import io.grpc.Context;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ChatStreamTest {
  private static final ScriptedChat RESTARTING =
      new ScriptedChat(
          ScriptedChat.text("One, tw"),
          ScriptedChat.text(1, "1, "),
          ScriptedChat.text(1, "2."),
          ScriptedChat.finish(1));

  @Test
  void aRestartVoidsTextAndReadingGoesOn() throws IOException {
    try (var gateway = new ScriptedGateway(RESTARTING);
        var client = gateway.connect();
        var stream = client.chat("m", "Count.")) {
      var shown = new StringBuilder();
      var restarted =
          assertThrows(RestartedException.class, () -> stream.text().forEach(shown::append));
      assertEquals("One, tw", shown.toString());
      assertEquals("One, tw", restarted.partialText());
      shown.setLength(0);
      stream.text().forEach(shown::append);
      assertEquals("1, 2.", shown.toString());
      assertEquals("1, 2.", stream.answer().text());
    }
  }

  @Test
  void aListenerTakesTheRestartInPlaceOfTheException() throws IOException {
    List<String> voided = new ArrayList<>();
    try (var gateway = new ScriptedGateway(RESTARTING);
        var client = gateway.connect();
        var stream = client.chat("m", "Count.").onRestart(gone -> voided.add(gone.text()))) {
      assertEquals("One, tw1, 2.", String.join("", stream.text()));
      assertEquals(List.of("One, tw"), voided);
    }
  }

  @Test
  void anAnswerWithoutFinishIsInterrupted() throws IOException {
    try (var gateway = new ScriptedGateway(new ScriptedChat(ScriptedChat.text("Half")));
        var client = gateway.connect();
        var stream = client.chat("m", "Go on.")) {
      var cut = assertThrows(StreamInterruptedException.class, stream::collect);
      assertEquals("Half", cut.partialText());
      assertFalse(stream.answer().isFinished());
    }
  }

  @Test
  void aSlowReaderHoldsTheServerBack() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect();
        var stream = client.chat("m", "Talk for ever.")) {
      stream.text().iterator().next();
      assertTrue(chat.writtenUntilHeldBack() < 100);
      stream.close();
      assertTrue(chat.sawCancel());
    }
  }

  @Test
  void aClosedStreamHasNoMoreText() throws IOException {
    try (var gateway = new ScriptedGateway(new EndlessChat());
        var client = gateway.connect()) {
      var stream = client.chat("m", "Talk for ever.");
      stream.close();
      assertFalse(stream.text().iterator().hasNext());
    }
  }

  @Test
  void interruptingTheReaderEndsTheCall() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect();
        var stream = client.chat("m", "Talk for ever.")) {
      stream.text().iterator().next();
      Thread.currentThread().interrupt();
      assertThrows(CancelledException.class, stream::collect);
      assertTrue(Thread.interrupted());
      assertTrue(chat.sawCancel());
    }
  }

  @Test
  void cancellingTheContextEndsTheCall() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect();
        var context = Context.current().withCancellation();
        var stream = context.call(() -> client.chat("m", "Talk for ever."))) {
      stream.text().iterator().next();
      context.cancel(null);
      assertThrows(CancelledException.class, stream::collect);
      assertTrue(chat.sawCancel());
    }
  }

  @Test
  void theDeadlineCountsWhileNobodyReads() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect();
        var stream = client.withTimeout(Duration.ofMillis(200)).chat("m", "Talk for ever.")) {
      assertTrue(chat.sawCancel());
      var late = assertThrows(DeadlineExceededException.class, stream::collect);
      assertTrue(late.outputStarted());
    }
  }

  @Test
  void closingTheClientEndsItsCalls() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect();
        var stream = client.chat("m", "Talk for ever.")) {
      stream.text().iterator().next();
      client.close();
      assertThrows(StreamInterruptedException.class, stream::collect);
      assertTrue(chat.sawCancel());
      assertThrows(UnavailableException.class, () -> client.complete("m", "Too late."));
    }
  }

  @Test
  void settingsGoWithTheCallAndLeaveTheClientAsItWas() throws IOException {
    var chat = new ScriptedChat(ScriptedChat.finish(0));
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect()) {
      var special =
          client
              .withPriority(Priority.BATCH)
              .withRequestId("id-1")
              .withMetadata("x-more", "yes")
              .withoutTimeout();
      try (var stream = special.chat("m", "Hi.")) {
        stream.collect();
        assertEquals("id-1", stream.requestId());
      }
      assertEquals("id-1", gateway.lastSeen("x-request-id"));
      assertEquals("batch", gateway.lastSeen("x-priority"));
      assertEquals("yes", gateway.lastSeen("x-more"));
      assertEquals(null, gateway.lastSeen("grpc-timeout"));
      try (var stream = client.chat("m", "Hi.")) {
        stream.collect();
        assertEquals(stream.requestId(), gateway.lastSeen("x-request-id"));
      }
      assertEquals(null, gateway.lastSeen("x-priority"));
      assertNotNull(gateway.lastSeen("x-request-id"));
    }
  }
}
