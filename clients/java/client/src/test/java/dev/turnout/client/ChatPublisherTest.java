package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.turnout.client.errors.StreamInterruptedException;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ChatPublisherTest {
  private static final ChatRequest REQUEST = ChatRequest.newBuilder().setModel("m").build();

  /** Puts down every signal; asks for what it was told to at first. */
  private static final class Noting
      implements Flow.Subscriber<ChatResponse>, ClientResponseObserver<ChatRequest, ChatResponse> {
    final BlockingQueue<Object> signals = new LinkedBlockingQueue<>();
    private final long firstDemand;
    Flow.Subscription subscription;
    ClientCallStreamObserver<ChatRequest> call;

    Noting(long firstDemand) {
      this.firstDemand = firstDemand;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      this.subscription = subscription;
      if (firstDemand != 0) {
        subscription.request(firstDemand);
      }
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<ChatRequest> call) {
      this.call = call;
      call.disableAutoRequestWithInitial((int) firstDemand);
    }

    @Override
    public void onNext(ChatResponse event) {
      signals.add(event);
    }

    @Override
    public void onError(Throwable thrown) {
      signals.add(thrown);
    }

    @Override
    public void onComplete() {
      signals.add("complete");
    }

    @Override
    public void onCompleted() {
      onComplete();
    }
  }

  @Test
  void everyEventComesThenTheEnd() throws Exception {
    var events = List.of(ScriptedChat.text("a"), ScriptedChat.text("b"), ScriptedChat.finish(0));
    var chat = new ScriptedChat(events.toArray(ChatResponse[]::new));
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect()) {
      var noting = new Noting(Long.MAX_VALUE);
      client.publish(REQUEST).subscribe(noting);
      for (ChatResponse event : events) {
        assertEquals(event, noting.signals.take());
      }
      assertEquals("complete", noting.signals.take());
    }
  }

  @Test
  void eachSubscriptionIsACall() throws Exception {
    try (var gateway = new ScriptedGateway(new ScriptedChat(ScriptedChat.finish(0)));
        var client = gateway.connect()) {
      var publisher = client.publish(REQUEST);
      for (int calls = 1; calls <= 2; calls++) {
        var noting = new Noting(1);
        publisher.subscribe(noting);
        noting.signals.take();
        assertEquals(calls, gateway.seen.size());
      }
    }
  }

  @Test
  void noMoreComesThanWasRequested() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect()) {
      var noting = new Noting(2);
      client.publish(REQUEST).subscribe(noting);
      assertTrue(chat.writtenUntilHeldBack() < 100);
      assertEquals(2, noting.signals.size());
      noting.subscription.request(1);
      chat.writtenUntilHeldBack();
      assertEquals(3, noting.signals.size());
      noting.subscription.cancel();
      assertTrue(chat.sawCancel());
      assertEquals(3, noting.signals.size());
    }
  }

  @Test
  void anObserverMayControlTheFlowItself() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect()) {
      var noting = new Noting(2);
      client.chat(REQUEST, (ClientResponseObserver<ChatRequest, ChatResponse>) noting);
      assertTrue(chat.writtenUntilHeldBack() < 100);
      assertEquals(2, noting.signals.size());
      noting.call.cancel("enough", null);
      assertTrue(chat.sawCancel());
    }
  }

  @Test
  void demandThatIsNotPositiveIsAnError() throws Exception {
    var chat = new EndlessChat();
    try (var gateway = new ScriptedGateway(chat);
        var client = gateway.connect()) {
      var atOnce = new Noting(-1);
      client.publish(REQUEST).subscribe(atOnce);
      assertInstanceOf(IllegalArgumentException.class, atOnce.signals.take());
      var later = new Noting(1);
      client.publish(REQUEST).subscribe(later);
      later.signals.take();
      later.subscription.request(0);
      assertInstanceOf(IllegalArgumentException.class, later.signals.take());
      assertTrue(chat.sawCancel());
    }
  }

  @Test
  void anAnswerWithoutFinishIsInterrupted() throws Exception {
    try (var gateway = new ScriptedGateway(new ScriptedChat(ScriptedChat.text("Half")));
        var client = gateway.connect()) {
      var noting = new Noting(Long.MAX_VALUE);
      client.publish(REQUEST).subscribe(noting);
      noting.signals.take();
      var cut = assertInstanceOf(StreamInterruptedException.class, noting.signals.take());
      assertEquals("Half", cut.partialText());
    }
  }

  @Test
  void whoLeavesAtOnceMakesNoCall() throws IOException {
    try (var gateway = new ScriptedGateway(new EndlessChat());
        var client = gateway.connect()) {
      var leaving =
          new Flow.Subscriber<ChatResponse>() {
            @Override
            public void onSubscribe(Flow.Subscription subscription) {
              subscription.cancel();
            }

            @Override
            public void onNext(ChatResponse event) {}

            @Override
            public void onError(Throwable thrown) {}

            @Override
            public void onComplete() {}
          };
      client.publish(REQUEST).subscribe(leaving);
      assertEquals(0, gateway.seen.size());
    }
  }
}
