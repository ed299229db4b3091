package dev.turnout.client;

import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** Says where the gateway is, who calls and how; {@link TurnoutClient#builder} makes one. */
public final class TurnoutClientBuilder {
  private static final int MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

  /** A request beyond this is not kept for another attempt; 1 MiB would leave out images. */
  private static final long RETRY_BUFFER_BYTES = 4L * 1024 * 1024;

  private final String target;
  private final List<ClientInterceptor> interceptors = new ArrayList<>();
  private ChannelCredentials credentials = InsecureChannelCredentials.create();
  private TlsChannelCredentials.Builder tls;
  private Supplier<String> apiKey;
  private String tenant;
  private Timeouts timeouts = Timeouts.DEFAULT;
  private int maxAttempts = 4;
  private boolean healthCheck;
  private Consumer<ManagedChannelBuilder<?>> onChannel = channel -> {};

  TurnoutClientBuilder(String target) {
    this.target = target;
  }

  /**
   * Send this key with every call.
   *
   * @param key as the gateway's operator gave it
   * @return this builder
   */
  public TurnoutClientBuilder apiKey(String key) {
    return apiKey(() -> key);
  }

  /**
   * Ask for the key before every call: for keys that change.
   *
   * @param key called on the calling thread; must not block for long
   * @return this builder
   */
  public TurnoutClientBuilder apiKey(Supplier<String> key) {
    apiKey = key;
    return this;
  }

  /**
   * Call for this tenant. The gateway believes it of trusted peers only.
   *
   * @param id of the tenant
   * @return this builder
   */
  public TurnoutClientBuilder tenant(String id) {
    tenant = id;
    return this;
  }

  /**
   * Encrypt, trusting the authorities that Java trusts.
   *
   * @return this builder
   */
  public TurnoutClientBuilder tls() {
    if (tls == null) {
      tls = TlsChannelCredentials.newBuilder();
    }
    return this;
  }

  /**
   * Encrypt, trusting these authorities alone.
   *
   * @param certificates of the authorities, PEM
   * @return this builder
   * @throws UncheckedIOException when the file cannot be read
   */
  public TurnoutClientBuilder tls(File certificates) {
    try {
      tls().tls.trustManager(certificates);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return this;
  }

  /**
   * Show a certificate of one's own: mTLS. Encrypts too.
   *
   * @param chain the certificate and those above it, PEM
   * @param privateKey its key, PKCS #8 PEM without a password
   * @return this builder
   * @throws UncheckedIOException when a file cannot be read
   */
  public TurnoutClientBuilder clientCertificate(File chain, File privateKey) {
    try {
      tls().tls.keyManager(chain, privateKey);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return this;
  }

  /**
   * Use gRPC credentials of one's own making, in place of what {@code tls} makes.
   *
   * @param own any credentials
   * @return this builder
   */
  public TurnoutClientBuilder credentials(ChannelCredentials own) {
    credentials = own;
    tls = null;
    return this;
  }

  /**
   * Change the deadlines of calls that set none.
   *
   * @param defaults for each kind of call
   * @return this builder
   */
  public TurnoutClientBuilder timeouts(Timeouts defaults) {
    timeouts = defaults;
    return this;
  }

  /**
   * Change how often gRPC may try a call that is UNAVAILABLE before its headers.
   *
   * @param attempts the first included; 1 is no retry; 4 if not set
   * @return this builder
   */
  public TurnoutClientBuilder maxAttempts(int attempts) {
    maxAttempts = attempts;
    return this;
  }

  /**
   * Send calls only to instances that say they serve, by {@code grpc.health.v1}.
   *
   * <p>Needs {@code io.grpc:grpc-services} on the class path: without it nothing is checked.
   *
   * @return this builder
   */
  public TurnoutClientBuilder healthCheck() {
    healthCheck = true;
    return this;
  }

  /**
   * See every call: here OpenTelemetry's interceptor goes.
   *
   * @param interceptor called before the client's own
   * @return this builder
   */
  public TurnoutClientBuilder intercept(ClientInterceptor interceptor) {
    interceptors.add(interceptor);
    return this;
  }

  /**
   * Change anything else of the channel: its executor, proxy, authority, service config …
   *
   * @param change called last, so that it wins
   * @return this builder
   */
  public TurnoutClientBuilder channel(Consumer<ManagedChannelBuilder<?>> change) {
    onChannel = onChannel.andThen(change);
    return this;
  }

  /**
   * Make the client. It connects with its first call.
   *
   * @return a client to be closed by the caller
   */
  public TurnoutClient build() {
    return new TurnoutClient(buildChannel(), timeouts);
  }

  private ManagedChannel buildChannel() {
    ManagedChannelBuilder<?> channel =
        Grpc.newChannelBuilder(target, tls == null ? credentials : tls.build())
            .userAgent("turnout-java")
            .defaultServiceConfig(ServiceConfig.of(maxAttempts, healthCheck))
            .maxRetryAttempts(Math.max(2, maxAttempts))
            .perRpcBufferLimit(RETRY_BUFFER_BYTES)
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            // Models are silent for long: find a dead connection all the same. Servers and the
            // proxies before them permit a ping every 10 s.
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .intercept(new PushbackInterceptor(), new CallerInterceptor(apiKey, tenant))
            // gRPC calls the last one first.
            .intercept(interceptors);
    onChannel.accept(channel);
    return channel.build();
  }
}
