package dev.turnout.client;

import dev.turnout.client.errors.CallState;
import dev.turnout.client.errors.Failures;
import dev.turnout.v1.EmbedItemResult;
import dev.turnout.v1.EmbedItems;
import dev.turnout.v1.EmbedOptions;
import dev.turnout.v1.EmbedStreamEnd;
import dev.turnout.v1.EmbedStreamRequest;
import dev.turnout.v1.EmbedStreamResponse;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.Queue;
import java.util.function.Function;

/**
 * Vectors of any number of texts, in the order they come.
 *
 * <p>One thread iterates, once; it is also the one that draws texts, no further ahead than the
 * window of unanswered ones. What the source of texts throws ends the call and is thrown on.
 * Closing early ends the call.
 */
public final class EmbedStream implements Iterable<Embedded>, AutoCloseable {
  private final Inbox<EmbedStreamRequest, EmbedStreamResponse> inbox = new Inbox<>();
  private final Queue<Embedded> ready = new ArrayDeque<>();
  private final ClientCallStreamObserver<EmbedStreamRequest> call;
  private final EmbedOptions options;
  private final ItemBatches batches;
  private final String requestId;
  private final int window;
  private long unanswered;
  private boolean allSent;
  private boolean over;
  private EmbedStreamEnd end;

  EmbedStream(
      Function<StreamObserver<EmbedStreamResponse>, StreamObserver<EmbedStreamRequest>> start,
      EmbedOptions options,
      Iterator<String> texts,
      int window,
      String requestId) {
    this.options = options;
    this.batches = new ItemBatches(texts);
    this.window = window;
    this.requestId = requestId;
    this.call = (ClientCallStreamObserver<EmbedStreamRequest>) start.apply(inbox);
    call.onNext(EmbedStreamRequest.newBuilder().setOptions(options).build());
  }

  @Override
  public Iterator<Embedded> iterator() {
    return new Pull<>(this::next);
  }

  /**
   * Usage and counts.
   *
   * @return the default instance until all results were read
   */
  public EmbedStreamEnd summary() {
    return end == null ? EmbedStreamEnd.getDefaultInstance() : end;
  }

  /**
   * The call's {@code x-request-id}.
   *
   * @return the id it was sent with
   */
  public String requestId() {
    return requestId;
  }

  /** End the call from any thread. Who iterates gets a CancelledException. */
  public void cancel() {
    inbox.cancel();
  }

  /** End the call unless it has ended. */
  @Override
  public void close() {
    if (!over) {
      over = true;
      inbox.cancel();
    }
  }

  private Embedded next() {
    while (ready.isEmpty() && !over) {
      if (mayWrite()) {
        write();
      } else {
        read();
      }
    }
    return ready.poll();
  }

  /** Results that have come go first; a transport that is full gets more only if it is idle. */
  private boolean mayWrite() {
    return !allSent
        && inbox.isEmpty()
        && unanswered < window
        && (call.isReady() || unanswered == 0);
  }

  private void write() {
    EmbedItems batch;
    try {
      batch = batches.next((int) (window - unanswered));
    } catch (RuntimeException | Error ofSource) {
      close();
      throw ofSource;
    }
    try {
      send(batch);
    } catch (IllegalStateException ended) {
      // Cancelled by another thread meanwhile: the inbox tells.
      allSent = true;
    }
  }

  private void send(EmbedItems batch) {
    if (batch.getItemsCount() == 0) {
      allSent = true;
      call.onCompleted();
    } else {
      unanswered += batch.getItemsCount();
      call.onNext(EmbedStreamRequest.newBuilder().setItems(batch).build());
    }
  }

  private void read() {
    EmbedStreamResponse response;
    try {
      response = inbox.take();
    } catch (StatusRuntimeException failed) {
      over = true;
      throw Failures.of(failed, CallState.withoutOutput(requestId));
    }
    if (response == null) {
      over = true;
      if (end == null) {
        throw Failures.withoutEnd(new CallState(requestId, true, ""));
      }
      return;
    }
    if (response.hasEnd()) {
      end = response.getEnd();
    }
    for (EmbedItemResult result : response.getResults().getResultsList()) {
      unanswered--;
      ready.add(embedded(result));
    }
  }

  private Embedded embedded(EmbedItemResult result) {
    if (result.hasError()) {
      return new Embedded(result.getId(), null, Failures.ofItem(result.getError(), requestId));
    }
    float[] vector =
        Vectors.of(result.getEmbedding(), options.getEncoding(), options.getDimensions());
    return new Embedded(result.getId(), vector, null);
  }
}
