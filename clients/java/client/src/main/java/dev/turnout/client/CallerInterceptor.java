package dev.turnout.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.UUID;
import java.util.function.Supplier;

/** Says with every call who calls, and gives it an id where it has none. */
final class CallerInterceptor implements ClientInterceptor {
  private final Supplier<String> apiKey;
  private final String tenant;

  /** Either may be null: then nothing is said. */
  CallerInterceptor(Supplier<String> apiKey, String tenant) {
    this.apiKey = apiKey;
    this.tenant = tenant;
  }

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(
      MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      public void start(Listener<A> listener, Metadata headers) {
        if (apiKey != null) {
          setIfAbsent(headers, Headers.AUTHORIZATION, "Bearer " + apiKey.get());
        }
        if (tenant != null) {
          setIfAbsent(headers, Headers.TENANT, tenant);
        }
        if (!headers.containsKey(Headers.REQUEST_ID)) {
          headers.put(Headers.REQUEST_ID, UUID.randomUUID().toString());
        }
        super.start(listener, headers);
      }
    };
  }

  private static void setIfAbsent(Metadata headers, Metadata.Key<String> key, String value) {
    if (!headers.containsKey(key)) {
      headers.put(key, value);
    }
  }
}
