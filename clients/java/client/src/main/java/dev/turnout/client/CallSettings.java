package dev.turnout.client;

import io.grpc.Metadata;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** What a caller set for its calls; a null timeout or request id is left to the client. */
record CallSettings(Duration timeout, String requestId, Map<String, String> metadata) {
  /** Longer than any call: set, it stands for no deadline. */
  static final Duration NEVER = Duration.ofSeconds(Long.MAX_VALUE);

  static final CallSettings NONE = new CallSettings(null, null, Map.of());

  CallSettings withTimeout(Duration value) {
    return new CallSettings(value, requestId, metadata);
  }

  CallSettings withRequestId(String value) {
    return new CallSettings(timeout, value, metadata);
  }

  CallSettings withPriority(Priority priority) {
    return with(Headers.PRIORITY, priority.name().toLowerCase(Locale.ROOT));
  }

  CallSettings with(Metadata.Key<String> key, String value) {
    if (key.name().equals(Headers.REQUEST_ID.name())) {
      return withRequestId(value);
    }
    var more = new HashMap<>(metadata);
    more.put(key.name(), value);
    return new CallSettings(timeout, requestId, Map.copyOf(more));
  }

  /** One call about to be made; {@code timeout} is null for no deadline. */
  record Call(String requestId, Duration timeout, Metadata headers) {
    <S extends AbstractStub<S>> S on(S stub) {
      S ready = stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
      return timeout == null
          ? ready
          : ready.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }
  }

  Call call(Duration timeoutByDefault) {
    String id = requestId == null ? UUID.randomUUID().toString() : requestId;
    var headers = new Metadata();
    headers.put(Headers.REQUEST_ID, id);
    metadata.forEach((name, value) -> headers.put(Headers.key(name), value));
    Duration chosen = timeout == null ? timeoutByDefault : timeout;
    return new Call(id, NEVER.equals(chosen) ? null : chosen, headers);
  }
}
