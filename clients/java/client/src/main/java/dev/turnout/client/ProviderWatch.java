package dev.turnout.client;

import dev.turnout.client.errors.CallState;
import dev.turnout.client.errors.Failures;
import dev.turnout.v1.ProviderStatus;
import dev.turnout.v1.WatchProvidersRequest;
import dev.turnout.v1.WatchProvidersResponse;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.List;

/**
 * The live state of providers: all of them first, then those that changed, each time they do.
 *
 * <p>One thread reads, once. Closing ends the call.
 */
public final class ProviderWatch implements Iterable<List<ProviderStatus>>, AutoCloseable {
  private final Inbox<WatchProvidersRequest, WatchProvidersResponse> inbox;
  private final String requestId;
  private boolean over;

  ProviderWatch(Inbox<WatchProvidersRequest, WatchProvidersResponse> inbox, String requestId) {
    this.inbox = inbox;
    this.requestId = requestId;
  }

  @Override
  public Iterator<List<ProviderStatus>> iterator() {
    return new Pull<>(this::read);
  }

  /** End the call from any thread. Who reads gets a CancelledException. */
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

  private List<ProviderStatus> read() {
    if (over) {
      return null;
    }
    try {
      WatchProvidersResponse changed = inbox.take();
      over = changed == null;
      return over ? null : changed.getProvidersList();
    } catch (StatusRuntimeException failed) {
      over = true;
      throw Failures.of(failed, CallState.withoutOutput(requestId));
    }
  }
}
