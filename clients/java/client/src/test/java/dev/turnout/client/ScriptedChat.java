package dev.turnout.client;

import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import dev.turnout.v1.ChatServiceGrpc;
import dev.turnout.v1.Finish;
import dev.turnout.v1.FinishReason;
import io.grpc.stub.StreamObserver;
import java.util.List;

/** Answers every Chat with the same events. */
final class ScriptedChat extends ChatServiceGrpc.ChatServiceImplBase {
  private final List<ChatResponse> events;

  ScriptedChat(ChatResponse... events) {
    this.events = List.of(events);
  }

  static ChatResponse text(String text) {
    return text(0, text);
  }

  static ChatResponse text(int generation, String text) {
    return ChatResponse.newBuilder().setGeneration(generation).setTextDelta(text).build();
  }

  static ChatResponse finish(int generation) {
    var finish = Finish.newBuilder().setReason(FinishReason.FINISH_REASON_STOP);
    return ChatResponse.newBuilder().setGeneration(generation).setFinish(finish).build();
  }

  @Override
  public void chat(ChatRequest request, StreamObserver<ChatResponse> caller) {
    events.forEach(caller::onNext);
    caller.onCompleted();
  }
}
