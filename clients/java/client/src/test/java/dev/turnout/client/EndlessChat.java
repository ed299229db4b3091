package dev.turnout.client;

import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import dev.turnout.v1.ChatServiceGrpc;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Writes large events for as long as the caller's side takes them. */
final class EndlessChat extends ChatServiceGrpc.ChatServiceImplBase {
  private static final ChatResponse EVENT = ScriptedChat.text("x".repeat(64 * 1024));
  private static final long QUIET_MS = 150;

  private final AtomicInteger written = new AtomicInteger();
  private final CountDownLatch cancelled = new CountDownLatch(1);

  @Override
  public void chat(ChatRequest request, StreamObserver<ChatResponse> observer) {
    var caller = (ServerCallStreamObserver<ChatResponse>) observer;
    caller.setOnCancelHandler(cancelled::countDown);
    caller.setOnReadyHandler(
        () -> {
          while (caller.isReady() && !caller.isCancelled()) {
            written.incrementAndGet();
            caller.onNext(EVENT);
          }
        });
  }

  /** How much was written once nothing more goes out. */
  int writtenUntilHeldBack() throws InterruptedException {
    int before;
    do {
      before = written.get();
      Thread.sleep(QUIET_MS);
    } while (before == 0 || before != written.get());
    return before;
  }

  boolean sawCancel() throws InterruptedException {
    return cancelled.await(5, TimeUnit.SECONDS);
  }
}
