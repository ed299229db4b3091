package dev.turnout.client.smoke;

import com.google.gson.JsonElement;
import dev.turnout.client.TurnoutClient;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.instrumentation.grpc.v1_6.GrpcTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every case that all clients share, against the server that answers as the cases say. */
@Timeout(30)
class SmokeTest {
  private static final OpenTelemetrySdk TELEMETRY =
      OpenTelemetrySdk.builder()
          .setPropagators(ContextPropagators.create(W3CTraceContextPropagator.getInstance()))
          .build();
  private static SmokeServer server;

  static List<SmokeCase> cases() throws IOException {
    return SmokeCase.all();
  }

  @BeforeAll
  static void startServer(@TempDir Path folder) throws IOException, InterruptedException {
    server = new SmokeServer(folder);
  }

  @AfterAll
  static void stopServer() throws IOException {
    server.close();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void theCaseComesOutAsWanted(SmokeCase smokeCase) throws IOException, InterruptedException {
    String requestId = UUID.randomUUID().toString();
    Outcome outcome;
    try (TurnoutClient client = clientFor(smokeCase);
        Scope trace = traceOf(smokeCase).makeCurrent()) {
      outcome = new Caller(smokeCase, client, requestId).call();
    }
    new Wants(smokeCase.want()).check(outcome, requestId, server.callsSeen(requestId));
  }

  private static TurnoutClient clientFor(SmokeCase smokeCase) {
    JsonElement tenant = smokeCase.metadata().get("x-tenant-id");
    return TurnoutClient.builder(server.address())
        .apiKey(smokeCase.text("api_key").orElse(server.apiKey()))
        .tenant(tenant == null ? null : tenant.getAsString())
        .intercept(GrpcTelemetry.create(TELEMETRY).createClientInterceptor())
        .build();
  }

  private static Context traceOf(SmokeCase smokeCase) {
    return smokeCase.text("traceparent").map(SmokeTest::contextOf).orElse(Context.root());
  }

  private static Context contextOf(String traceparent) {
    String[] fields = traceparent.split("-");
    var parent =
        SpanContext.createFromRemoteParent(
            fields[1], fields[2], TraceFlags.getSampled(), TraceState.getDefault());
    return Context.root().with(Span.wrap(parent));
  }
}
