package dev.turnout.client;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The messages of one call, for a thread that waits for them.
 *
 * <p>No more than {@link #PREFETCH} are asked for ahead of the reader: HTTP/2's flow control then
 * holds the server back. gRPC's side only enqueues and so may run on a transport thread.
 */
final class Inbox<Q, A> implements ClientResponseObserver<Q, A> {
  static final int PREFETCH = 16;

  private static final Object END = new Object();

  private record Broken(Throwable cause) {}

  private final BlockingQueue<Object> arrived = new LinkedBlockingQueue<>();
  private ClientCallStreamObserver<Q> call;

  @Override
  public void beforeStart(ClientCallStreamObserver<Q> call) {
    this.call = call;
    call.disableAutoRequestWithInitial(PREFETCH);
  }

  @Override
  public void onNext(A message) {
    arrived.add(message);
  }

  @Override
  public void onError(Throwable thrown) {
    arrived.add(new Broken(thrown));
  }

  @Override
  public void onCompleted() {
    arrived.add(END);
  }

  /**
   * The next message, waiting for it; null after the last. Not to be called after null or a throw.
   *
   * @throws StatusRuntimeException when the call failed; CANCELLED when the thread was interrupted
   */
  @SuppressWarnings("unchecked") // only onNext adds anything but END and Broken
  A take() {
    Object next;
    try {
      next = arrived.take();
    } catch (InterruptedException interrupt) {
      Thread.currentThread().interrupt();
      call.cancel("the reading thread was interrupted", interrupt);
      throw Status.CANCELLED
          .withDescription("the reading thread was interrupted")
          .withCause(interrupt)
          .asRuntimeException();
    }
    if (next == END) {
      return null;
    }
    if (next instanceof Broken broken) {
      // Thrown anew: its stack is then the reader's.
      throw new StatusRuntimeException(
          Status.fromThrowable(broken.cause), Status.trailersFromThrowable(broken.cause));
    }
    call.request(1);
    return (A) next;
  }

  /** Whether nothing has arrived that was not taken. */
  boolean isEmpty() {
    return arrived.isEmpty();
  }

  /** End the call; what had arrived can still be taken, then CANCELLED is thrown. Any thread. */
  void cancel() {
    call.cancel("cancelled by the caller", null);
  }
}
