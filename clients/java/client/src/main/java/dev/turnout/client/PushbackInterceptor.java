package dev.turnout.client;

import com.google.rpc.Status;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientStreamTracer;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status.Code;
import io.grpc.protobuf.ProtoUtils;

/**
 * Keeps gRPC from retrying what is not UNAVAILABLE.
 *
 * <p>grpc-java (seen with 1.85) takes any pushback that is not negative for an order to try again,
 * whatever the status and the policy's codes. A tenant's rate limit also says when it ends, but no
 * other instance can help: that wait is the caller's to decide on. So its pushback is taken out
 * before the retry layer, which is below all interceptors, sees it; ErrorDetail still tells it.
 */
final class PushbackInterceptor implements ClientInterceptor {
  private static final Metadata.Key<String> PUSHBACK = Headers.key("grpc-retry-pushback-ms");
  private static final Metadata.Key<Status> DETAILS =
      Metadata.Key.of(
          "grpc-status-details-bin", ProtoUtils.metadataMarshaller(Status.getDefaultInstance()));

  private static final ClientStreamTracer.Factory TRACERS =
      new ClientStreamTracer.Factory() {
        @Override
        public ClientStreamTracer newClientStreamTracer(
            ClientStreamTracer.StreamInfo info, Metadata headers) {
          return TRACER;
        }
      };

  private static final ClientStreamTracer TRACER =
      new ClientStreamTracer() {
        @Override
        public void inboundTrailers(Metadata trailers) {
          if (trailers.containsKey(PUSHBACK) && !isUnavailable(trailers)) {
            trailers.discardAll(PUSHBACK);
          }
        }
      };

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(
      MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    return next.newCall(method, options.withStreamTracerFactory(TRACERS));
  }

  /** By the details, since the status itself was taken out of the trailers before. */
  private static boolean isUnavailable(Metadata trailers) {
    try {
      Status details = trailers.get(DETAILS);
      return details == null || details.getCode() == Code.UNAVAILABLE.value();
    } catch (IllegalArgumentException malformed) {
      return true;
    }
  }
}
