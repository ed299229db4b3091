package dev.turnout.client;

import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.Flow;
import java.util.function.Consumer;

/** One subscriber's call: its demand is the call's flow control. */
final class ChatSubscription
    implements Flow.Subscription, ClientResponseObserver<ChatRequest, ChatResponse> {
  private final Flow.Subscriber<? super ChatResponse> subscriber;
  private ClientCallStreamObserver<ChatRequest> call;
  private boolean callStarted;
  private long demandBeforeStart;
  private volatile boolean cancelled;
  private volatile IllegalArgumentException refused;

  ChatSubscription(Flow.Subscriber<? super ChatResponse> subscriber) {
    this.subscriber = subscriber;
  }

  /** Greet the subscriber, then start the call, unless it has left already. */
  void begin(Consumer<ClientResponseObserver<ChatRequest, ChatResponse>> start) {
    subscriber.onSubscribe(this);
    if (refused != null) {
      subscriber.onError(refused);
    } else if (!cancelled) {
      start.accept(this);
      flowControlBegins();
    }
  }

  private synchronized void flowControlBegins() {
    callStarted = true;
    if (cancelled || refused != null) {
      endCall();
    } else if (demandBeforeStart > 0) {
      call.request(atMostInt(demandBeforeStart));
    }
  }

  @Override
  public synchronized void request(long count) {
    if (cancelled || refused != null) {
      return;
    }
    if (count <= 0) {
      refused = new IllegalArgumentException("demand must be positive, not " + count);
      endCall();
    } else if (callStarted) {
      call.request(atMostInt(count));
    } else {
      demandBeforeStart = Math.max(demandBeforeStart, demandBeforeStart + count);
    }
  }

  @Override
  public synchronized void cancel() {
    cancelled = true;
    endCall();
  }

  private void endCall() {
    if (callStarted) {
      call.cancel("cancelled by the subscriber", null);
    }
  }

  /** No answer has as many events as an int can count. */
  private static int atMostInt(long count) {
    return (int) Math.min(count, Integer.MAX_VALUE);
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<ChatRequest> call) {
    this.call = call;
    call.disableAutoRequestWithInitial(0);
  }

  @Override
  public void onNext(ChatResponse event) {
    if (!cancelled && refused == null) {
      subscriber.onNext(event);
    }
  }

  @Override
  public void onError(Throwable thrown) {
    if (!cancelled) {
      subscriber.onError(refused == null ? thrown : refused);
    }
  }

  @Override
  public void onCompleted() {
    if (!cancelled) {
      subscriber.onComplete();
    }
  }
}
