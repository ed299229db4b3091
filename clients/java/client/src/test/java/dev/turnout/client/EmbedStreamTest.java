package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.turnout.client.errors.CancelledException;
import dev.turnout.client.errors.StreamInterruptedException;
import dev.turnout.v1.EmbedItem;
import dev.turnout.v1.EmbedItemResult;
import dev.turnout.v1.EmbedItemResults;
import dev.turnout.v1.EmbedOptions;
import dev.turnout.v1.EmbedServiceGrpc;
import dev.turnout.v1.EmbedStreamEnd;
import dev.turnout.v1.EmbedStreamRequest;
import dev.turnout.v1.EmbedStreamResponse;
import dev.turnout.v1.Embedding;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class EmbedStreamTest {
  /** Answers texts in pairs, so that some always wait; counts how many. */
  private static final class Pairs extends EmbedServiceGrpc.EmbedServiceImplBase {
    final CountDownLatch cancelled = new CountDownLatch(1);
    final boolean endIsSent;
    int waitingAtMost;

    Pairs(boolean endIsSent) {
      this.endIsSent = endIsSent;
    }

    @Override
    public StreamObserver<EmbedStreamRequest> embedStream(
        StreamObserver<EmbedStreamResponse> caller) {
      ((ServerCallStreamObserver<EmbedStreamResponse>) caller)
          .setOnCancelHandler(cancelled::countDown);
      List<EmbedItem> waiting = new ArrayList<>();
      return new StreamObserver<>() {
        @Override
        public void onNext(EmbedStreamRequest message) {
          waiting.addAll(message.getItems().getItemsList());
          waitingAtMost = Math.max(waitingAtMost, waiting.size());
          while (waiting.size() >= 2) {
            answer(2);
          }
        }

        @Override
        public void onError(Throwable thrown) {}

        @Override
        public void onCompleted() {
          answer(waiting.size());
          if (endIsSent) {
            var end = EmbedStreamEnd.getDefaultInstance();
            caller.onNext(EmbedStreamResponse.newBuilder().setEnd(end).build());
          }
          caller.onCompleted();
        }

        private void answer(int count) {
          var results = EmbedItemResults.newBuilder();
          for (EmbedItem item : waiting.subList(0, count)) {
            var vector = Embedding.newBuilder().addValues(item.getText().length());
            results.addResults(
                EmbedItemResult.newBuilder().setId(item.getId()).setEmbedding(vector));
          }
          waiting.subList(0, count).clear();
          caller.onNext(EmbedStreamResponse.newBuilder().setResults(results).build());
        }
      };
    }
  }

  private static final EmbedOptions OPTIONS = EmbedOptions.newBuilder().setModel("m").build();

  private static List<String> texts(int count) {
    return IntStream.range(0, count).mapToObj(n -> "x".repeat(n % 7)).toList();
  }

  @Test
  void everyTextIsAnsweredWithinTheWindow() throws Exception {
    var pairs = new Pairs(true);
    try (var gateway = new ScriptedGateway(pairs);
        var client = gateway.connect();
        var results = client.embedAll(OPTIONS, texts(501), 10)) {
      var positions = new HashSet<Long>();
      for (Embedded each : results) {
        assertEquals(each.position() % 7, (long) each.vector()[0]);
        positions.add(each.position());
      }
      assertEquals(501, positions.size());
      assertTrue(pairs.waitingAtMost <= 10);
    }
  }

  @Test
  void textsAreDrawnNoFurtherThanTheWindow() throws Exception {
    Iterator<Integer> numbers = IntStream.iterate(0, n -> n + 1).iterator();
    int[] drawn = {0};
    Iterable<String> endless =
        () ->
            new Pull<>(
                () -> {
                  drawn[0]++;
                  return "text " + numbers.next();
                });
    var pairs = new Pairs(true);
    try (var gateway = new ScriptedGateway(pairs);
        var client = gateway.connect();
        var results = client.embedAll(OPTIONS, endless, 10)) {
      results.iterator().next();
      assertTrue(drawn[0] <= 20, () -> "drew " + drawn[0]);
      results.close();
      assertTrue(pairs.cancelled.await(5, TimeUnit.SECONDS));
    }
  }

  @Test
  void whatTheSourceThrowsEndsTheCallAndIsThrownOn() throws Exception {
    var fault = new IllegalStateException("no more paper");
    Iterable<String> broken =
        () ->
            new Pull<>(
                () -> {
                  throw fault;
                });
    var pairs = new Pairs(true);
    try (var gateway = new ScriptedGateway(pairs);
        var client = gateway.connect();
        var results = client.embedAll(OPTIONS, broken, 10)) {
      Iterator<Embedded> iterator = results.iterator();
      assertSame(fault, assertThrows(IllegalStateException.class, iterator::next));
    }
  }

  @Test
  void resultsWithoutTheEndAreInterrupted() throws Exception {
    try (var gateway = new ScriptedGateway(new Pairs(false));
        var client = gateway.connect();
        var results = client.embedAll(OPTIONS, texts(4), 10)) {
      assertThrows(StreamInterruptedException.class, () -> results.forEach(each -> {}));
    }
  }

  @Test
  void aCancelIsToldToWhoReads() throws Exception {
    try (var gateway = new ScriptedGateway(new Pairs(true));
        var client = gateway.connect();
        var results = client.embedAll(OPTIONS, texts(10_000), 10)) {
      Iterator<Embedded> iterator = results.iterator();
      iterator.next();
      results.cancel();
      assertThrows(CancelledException.class, () -> iterator.forEachRemaining(each -> {}));
    }
  }

  @Test
  void aWindowMustHoldAText() throws Exception {
    try (var client = TurnoutClient.connect("localhost:1")) {
      assertThrows(
          IllegalArgumentException.class, () -> client.embedAll(OPTIONS, texts(1), 0));
    }
  }
}
