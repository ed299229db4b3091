package dev.turnout.client;

import dev.turnout.client.errors.CallState;
import dev.turnout.client.errors.Failures;
import dev.turnout.client.errors.TurnoutException;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatResponse;
import dev.turnout.v1.ChatServiceGrpc;
import dev.turnout.v1.CompleteChatResponse;
import dev.turnout.v1.EmbedOptions;
import dev.turnout.v1.EmbedRequest;
import dev.turnout.v1.EmbedServiceGrpc;
import dev.turnout.v1.GetLimitsRequest;
import dev.turnout.v1.GetModelRequest;
import dev.turnout.v1.Limit;
import dev.turnout.v1.ListModelsRequest;
import dev.turnout.v1.ListModelsResponse;
import dev.turnout.v1.ListProvidersRequest;
import dev.turnout.v1.ListProvidersResponse;
import dev.turnout.v1.Model;
import dev.turnout.v1.ModelServiceGrpc;
import dev.turnout.v1.ProviderStatus;
import dev.turnout.v1.QueryUsageRequest;
import dev.turnout.v1.QueryUsageResponse;
import dev.turnout.v1.UsageRow;
import dev.turnout.v1.UsageServiceGrpc;
import dev.turnout.v1.WatchProvidersRequest;
import dev.turnout.v1.WatchProvidersResponse;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * A client of the gateway: one channel, any number of calls from any number of threads.
 *
 * <p>Every failure is a {@link TurnoutException}. UNAVAILABLE before the first output was then
 * already tried again, as the server's pushback said; nothing is ever tried again after output. The
 * deadline and the cancellation of the current {@link io.grpc.Context} hold for calls made in it.
 *
 * <p>The {@code with…} methods return a client that shares the channel, for calls that differ.
 */
public final class TurnoutClient implements AutoCloseable {
  private static final int WINDOW = 1024;
  private static final long CLOSE_WAIT_S = 5;

  private final ManagedChannel channel;
  private final Timeouts timeouts;
  private final CallSettings settings;

  TurnoutClient(ManagedChannel channel, Timeouts timeouts) {
    this(channel, timeouts, CallSettings.NONE);
  }

  private TurnoutClient(ManagedChannel channel, Timeouts timeouts, CallSettings settings) {
    this.channel = channel;
    this.timeouts = timeouts;
    this.settings = settings;
  }

  /**
   * A client without encryption or key: for a gateway on this machine.
   *
   * @param target {@code host:port}, or any target that gRPC resolves
   * @return a client to be closed by the caller
   */
  public static TurnoutClient connect(String target) {
    return builder(target).build();
  }

  /**
   * Begin a client.
   *
   * @param target {@code host:port}, or any target that gRPC resolves
   * @return its builder
   */
  public static TurnoutClientBuilder builder(String target) {
    return new TurnoutClientBuilder(target);
  }

  // ---------------------------------------------------------------------- how to call

  /**
   * Set the deadline of calls.
   *
   * @param timeout from the start of each call to its last message
   * @return a client that shares this one's channel
   */
  public TurnoutClient withTimeout(Duration timeout) {
    return with(settings.withTimeout(Objects.requireNonNull(timeout)));
  }

  /**
   * Let calls take as long as they take.
   *
   * @return a client that shares this one's channel
   */
  public TurnoutClient withoutTimeout() {
    return with(settings.withTimeout(CallSettings.NEVER));
  }

  /**
   * Give one call an id of the caller's own, for both sides' logs.
   *
   * @param id sent as {@code x-request-id}
   * @return a client that shares this one's channel, meant for one call
   */
  public TurnoutClient withRequestId(String id) {
    return with(settings.withRequestId(Objects.requireNonNull(id)));
  }

  /**
   * Have the gateway refuse a second call under way with the same key.
   *
   * @param key unique to what is asked
   * @return a client that shares this one's channel, meant for one call
   */
  public TurnoutClient withIdempotencyKey(String key) {
    return with(settings.with(Headers.IDEMPOTENCY_KEY, key));
  }

  /**
   * Say what is to be served first when the gateway is full.
   *
   * @param priority of the calls
   * @return a client that shares this one's channel
   */
  public TurnoutClient withPriority(Priority priority) {
    return with(settings.withPriority(priority));
  }

  /**
   * Send further metadata.
   *
   * @param name in lower case; replaces what the client itself would send by that name
   * @param value ASCII
   * @return a client that shares this one's channel
   */
  public TurnoutClient withMetadata(String name, String value) {
    return with(settings.with(Headers.key(name), value));
  }

  private TurnoutClient with(CallSettings other) {
    return new TurnoutClient(channel, timeouts, other);
  }

  // ---------------------------------------------------------------------- chat

  /**
   * Ask one question, answered as a stream.
   *
   * @param model alias or {@code provider/model}
   * @param question of the user
   * @return the answer under way, to be closed by the caller
   */
  public ChatStream chat(String model, String question) {
    return chat(question(model, question));
  }

  /**
   * Ask, answered as a stream. Does not block: failures come when the stream is read.
   *
   * @param request in full
   * @return the answer under way, to be closed by the caller
   */
  public ChatStream chat(ChatRequest request) {
    CallSettings.Call call = settings.call(timeouts.chat());
    var inbox = new Inbox<ChatRequest, ChatResponse>();
    call.on(toInbox(ChatServiceGrpc.newStub(channel))).chat(request, inbox);
    return new ChatStream(inbox, call.requestId());
  }

  /**
   * Ask, answered by calls to an observer.
   *
   * <p>The next event is delivered when {@code onNext} has returned. For flow control or cancelling
   * pass a {@link ClientResponseObserver}: its {@code beforeStart} is given the call.
   *
   * @param request in full
   * @param observer told every event; its {@code onError} is given a {@link TurnoutException}
   */
  public void chat(ChatRequest request, StreamObserver<ChatResponse> observer) {
    CallSettings.Call call = settings.call(timeouts.chat());
    call.on(ChatServiceGrpc.newStub(channel))
        .chat(request, new ChatObserver(observer, call.requestId()));
  }

  /**
   * Ask whenever somebody subscribes, answered as fast as the subscriber requests events.
   *
   * <p>What is not requested is not read: the server is held back. Cancelling the subscription ends
   * the call. {@code onError} is given a {@link TurnoutException}.
   *
   * @param request in full
   * @return a publisher of every event, {@code finish} last; each subscription is a call
   */
  public Flow.Publisher<ChatResponse> publish(ChatRequest request) {
    return subscriber ->
        new ChatSubscription(Objects.requireNonNull(subscriber))
            .begin(subscription -> chat(request, subscription));
  }

  /**
   * Ask one question, answered at once.
   *
   * @param model alias or {@code provider/model}
   * @param question of the user
   * @return the whole answer
   */
  public Answer complete(String model, String question) {
    return complete(question(model, question));
  }

  /**
   * Ask, answered at once.
   *
   * @param request in full
   * @return the whole answer
   */
  public Answer complete(ChatRequest request) {
    CompleteChatResponse response =
        ask(
            ChatServiceGrpc.newBlockingStub(channel),
            timeouts.chat(),
            stub -> stub.completeChat(request));
    return Answer.of(response);
  }

  // ---------------------------------------------------------------------- embeddings

  /**
   * Embed a batch, all or nothing.
   *
   * @param model alias or {@code provider/model}
   * @param texts 2,048 at most
   * @return vectors in the order of the texts
   */
  public Embeddings embed(String model, List<String> texts) {
    return embed(EmbedRequest.newBuilder().setModel(model).addAllTexts(texts).build());
  }

  /**
   * Embed a batch, all or nothing.
   *
   * @param request in full
   * @return vectors in the order of the texts
   */
  public Embeddings embed(EmbedRequest request) {
    return Embeddings.of(
        ask(
            EmbedServiceGrpc.newBlockingStub(channel),
            timeouts.embed(),
            stub -> stub.embed(request)),
        request);
  }

  /**
   * Embed any number of texts.
   *
   * @param model alias or {@code provider/model}
   * @param texts drawn as results are read, by the thread that reads
   * @return results in the order they come, to be closed by the caller
   */
  public EmbedStream embedAll(String model, Iterable<String> texts) {
    return embedAll(EmbedOptions.newBuilder().setModel(model).build(), texts, WINDOW);
  }

  /**
   * Embed any number of texts.
   *
   * @param options in full
   * @param texts drawn as results are read, by the thread that reads
   * @param window texts that may be unanswered at a time
   * @return results in the order they come, to be closed by the caller
   */
  public EmbedStream embedAll(EmbedOptions options, Iterable<String> texts, int window) {
    if (window < 1) {
      throw new IllegalArgumentException("window must be positive, not " + window);
    }
    CallSettings.Call call = settings.call(timeouts.embedAll());
    var stub = call.on(toInbox(EmbedServiceGrpc.newStub(channel)));
    return new EmbedStream(stub::embedStream, options, texts.iterator(), window, call.requestId());
  }

  // ---------------------------------------------------------------------- what there is

  /**
   * The models the caller may use.
   *
   * @return all of them
   */
  public List<Model> models() {
    return Pages.read(
        token ->
            read(
                ModelServiceGrpc.newBlockingStub(channel),
                stub ->
                    stub.listModels(ListModelsRequest.newBuilder().setPageToken(token).build())),
        ListModelsResponse::getModelsList,
        ListModelsResponse::getNextPageToken);
  }

  /**
   * One model: its abilities, limits, targets and prices.
   *
   * @param name alias or {@code provider/model}
   * @return the model
   */
  public Model model(String name) {
    var request = GetModelRequest.newBuilder().setName(name).build();
    return read(ModelServiceGrpc.newBlockingStub(channel), stub -> stub.getModel(request))
        .getModel();
  }

  /**
   * The providers as they are now.
   *
   * @return all of them
   */
  public List<ProviderStatus> providers() {
    return Pages.read(
        token ->
            read(
                ModelServiceGrpc.newBlockingStub(channel),
                stub ->
                    stub.listProviders(
                        ListProvidersRequest.newBuilder().setPageToken(token).build())),
        ListProvidersResponse::getProvidersList,
        ListProvidersResponse::getNextPageToken);
  }

  /**
   * The providers as they change.
   *
   * @return all of them, then those that changed; to be closed by the caller
   */
  public ProviderWatch watchProviders() {
    CallSettings.Call call = settings.call(timeouts.watch());
    var inbox = new Inbox<WatchProvidersRequest, WatchProvidersResponse>();
    call.on(toInbox(ModelServiceGrpc.newStub(channel)))
        .watchProviders(WatchProvidersRequest.getDefaultInstance(), inbox);
    return new ProviderWatch(inbox, call.requestId());
  }

  /**
   * What the caller's tenant used.
   *
   * @param request times and dimensions; its page token is set by the client
   * @return all rows
   */
  public List<UsageRow> usage(QueryUsageRequest request) {
    return Pages.read(
        token ->
            read(
                UsageServiceGrpc.newBlockingStub(channel),
                stub -> stub.queryUsage(request.toBuilder().setPageToken(token).build())),
        QueryUsageResponse::getRowsList,
        QueryUsageResponse::getNextPageToken);
  }

  /**
   * The limits of the caller's tenant, and what is left.
   *
   * @return all of them
   */
  public List<Limit> limits() {
    var request = GetLimitsRequest.getDefaultInstance();
    return read(UsageServiceGrpc.newBlockingStub(channel), stub -> stub.getLimits(request))
        .getLimitsList();
  }

  // ---------------------------------------------------------------------- the channel

  /**
   * For stubs of one's own: sends key, tenant and request id too. {@link Failures} types errors.
   *
   * @return the channel, which stays this client's
   */
  public Channel channel() {
    return channel;
  }

  /** End every call under way and the channel, also for clients that share it. */
  @Override
  public void close() {
    channel.shutdownNow();
    try {
      channel.awaitTermination(CLOSE_WAIT_S, TimeUnit.SECONDS);
    } catch (InterruptedException interrupt) {
      Thread.currentThread().interrupt();
    }
  }

  private static ChatRequest question(String model, String question) {
    return ChatRequest.newBuilder().setModel(model).addMessages(Messages.user(question)).build();
  }

  /** An inbox never blocks its sender, so a message need not change threads on its way there. */
  private static <S extends AbstractStub<S>> S toInbox(S stub) {
    return stub.withExecutor(Runnable::run);
  }

  private <S extends AbstractStub<S>, A> A read(S stub, Function<S, A> method) {
    return ask(stub, timeouts.read(), method);
  }

  private <S extends AbstractStub<S>, A> A ask(S stub, Duration timeout, Function<S, A> method) {
    CallSettings.Call call = settings.call(timeout);
    try {
      return method.apply(call.on(stub));
    } catch (StatusRuntimeException failed) {
      throw Failures.of(failed, CallState.withoutOutput(call.requestId()));
    }
  }
}
