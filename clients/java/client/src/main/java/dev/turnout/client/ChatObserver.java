package dev.turnout.client;

import dev.turnout.client.errors.Failures;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;

/** Stands before a caller's observer: errors come typed, and an end without finish is one. */
final class ChatObserver implements ClientResponseObserver<ChatRequest, ChatResponse> {
  private final StreamObserver<ChatResponse> caller;
  private final String requestId;
  private final Assembly assembly = new Assembly();

  ChatObserver(StreamObserver<ChatResponse> caller, String requestId) {
    this.caller = caller;
    this.requestId = requestId;
  }

  @Override
  @SuppressWarnings("unchecked") // a caller's observer of our responses takes our requests
  public void beforeStart(ClientCallStreamObserver<ChatRequest> call) {
    if (caller instanceof ClientResponseObserver<?, ?> controlling) {
      ((ClientResponseObserver<ChatRequest, ChatResponse>) controlling).beforeStart(call);
    }
  }

  @Override
  public void onNext(ChatResponse event) {
    assembly.feed(event);
    caller.onNext(event);
  }

  @Override
  public void onError(Throwable thrown) {
    caller.onError(Failures.of(thrown, assembly.state(requestId)));
  }

  @Override
  public void onCompleted() {
    if (assembly.isFinished()) {
      caller.onCompleted();
    } else {
      caller.onError(Failures.withoutEnd(assembly.state(requestId)));
    }
  }
}
