package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.instrumentation.grpc.v1_6.GrpcTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.trace.ReadWriteSpan;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.SpanProcessor;
import java.io.IOException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class TelemetryTest {
  private final Ended ended = new Ended();
  private final OpenTelemetrySdk telemetry =
      OpenTelemetrySdk.builder()
          .setPropagators(ContextPropagators.create(W3CTraceContextPropagator.getInstance()))
          .setTracerProvider(SdkTracerProvider.builder().addSpanProcessor(ended).build())
          .build();

  private static final class Ended implements SpanProcessor {
    final BlockingQueue<ReadableSpan> spans = new LinkedBlockingQueue<>();

    @Override
    public void onStart(Context parent, ReadWriteSpan span) {}

    @Override
    public boolean isStartRequired() {
      return false;
    }

    @Override
    public void onEnd(ReadableSpan span) {
      spans.add(span);
    }

    @Override
    public boolean isEndRequired() {
      return true;
    }
  }

  private TurnoutClient clientOf(ScriptedGateway gateway) {
    return TurnoutClient.builder(gateway.address())
        .intercept(GrpcTelemetry.create(telemetry).createClientInterceptor())
        .build();
  }

  @Test
  void theServerSeesTheCallsSpanAsItsParent() throws Exception {
    var parent = telemetry.getTracer("test").spanBuilder("request").startSpan();
    try (var gateway = new ScriptedGateway(new ScriptedChat(ScriptedChat.finish(0)));
        var client = clientOf(gateway);
        var scope = parent.makeCurrent();
        var stream = client.chat("m", "Hi.")) {
      stream.collect();
      var span = ended.spans.poll(5, TimeUnit.SECONDS);
      assertNotNull(span);
      assertEquals(SpanKind.CLIENT, span.getKind());
      assertEquals("turnout.v1.ChatService/Chat", span.getName());
      assertEquals(parent.getSpanContext().getTraceId(), span.getSpanContext().getTraceId());
      String[] traceparent = gateway.lastSeen("traceparent").split("-");
      assertEquals(span.getSpanContext().getTraceId(), traceparent[1]);
      assertEquals(span.getSpanContext().getSpanId(), traceparent[2]);
    }
  }

  @Test
  void theSpanOfAStreamThatIsLeftEnds() throws IOException, InterruptedException {
    try (var gateway = new ScriptedGateway(new EndlessChat());
        var client = clientOf(gateway)) {
      try (var stream = client.chat("m", "Talk for ever.")) {
        stream.text().iterator().next();
      }
      assertNotNull(ended.spans.poll(5, TimeUnit.SECONDS));
    }
  }
}
