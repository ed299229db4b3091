package dev.turnout.client.errors;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import dev.turnout.v1.ErrorDetail;
import dev.turnout.v1.ErrorReason;
import dev.turnout.v1.ItemError;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes typed exceptions of gRPC's statuses. The client does so by itself; callers of the stubs on
 * {@link dev.turnout.client.TurnoutClient#channel} do it with this.
 */
public final class Failures {
  private static final Metadata.Key<com.google.rpc.Status> DETAILS =
      Metadata.Key.of(
          "grpc-status-details-bin",
          ProtoUtils.metadataMarshaller(com.google.rpc.Status.getDefaultInstance()));
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

  private Failures() {}

  /**
   * The typed exception of a failed call that was no stream.
   *
   * @param thrown what gRPC threw or told
   * @return the exception to throw in its place, with {@code thrown} as its cause
   */
  public static TurnoutException of(Throwable thrown) {
    return of(thrown, CallState.withoutOutput(requestIdOf(Status.trailersFromThrowable(thrown))));
  }

  /**
   * The typed exception of a failed call.
   *
   * @param thrown what gRPC threw or told
   * @param state what is known of the call besides
   * @return the exception to throw in its place, with {@code thrown} as its cause
   */
  public static TurnoutException of(Throwable thrown, CallState state) {
    Status status = Status.fromThrowable(thrown);
    TurnoutException exception =
        Reasons.exceptionFor(failureOf(status, Status.trailersFromThrowable(thrown), state));
    exception.initCause(thrown);
    return exception;
  }

  /**
   * The exception of a stream whose status was OK though its last event never came.
   *
   * @param state what is known of the call
   * @return the exception to throw
   */
  public static TurnoutException withoutEnd(CallState state) {
    return Reasons.exceptionFor(
        Failure.undescribed(
            "the stream ended before its last event",
            Status.Code.UNKNOWN,
            ErrorReason.ERROR_REASON_STREAM_INTERRUPTED,
            false,
            state));
  }

  /**
   * Says that the gateway starts an answer over.
   *
   * @param state what is known of the call, with the text that is void
   * @return the exception to throw
   */
  public static TurnoutException restarted(CallState state) {
    return new RestartedException(
        Failure.undescribed(
            "the gateway starts the answer over: what was read is void",
            Status.Code.ABORTED,
            ErrorReason.ERROR_REASON_UNSPECIFIED,
            false,
            state));
  }

  /**
   * The exception of one text of many that failed alone.
   *
   * @param error what the gateway says of it
   * @param requestId the call's id
   * @return the exception, whose code is OK as the call's is
   */
  public static TurnoutException ofItem(ItemError error, String requestId) {
    return Reasons.exceptionFor(
        Failure.undescribed(
            error.getMessage(),
            Status.Code.OK,
            error.getReason(),
            false,
            CallState.withoutOutput(requestId)));
  }

  private static Failure failureOf(Status status, Metadata trailers, CallState state) {
    String message = status.getDescription() == null ? status.getCode().name()
        : status.getDescription();
    ErrorDetail detail = null;
    List<FieldViolation> violations = new ArrayList<>();
    try {
      for (Any packed : detailsIn(trailers)) {
        if (packed.is(ErrorDetail.class)) {
          detail = packed.unpack(ErrorDetail.class);
        } else if (packed.is(BadRequest.class)) {
          packed.unpack(BadRequest.class).getFieldViolationsList().stream()
              .map(broken -> new FieldViolation(broken.getField(), broken.getDescription()))
              .forEach(violations::add);
        }
      }
    } catch (InvalidProtocolBufferException | IllegalArgumentException malformed) {
      return undescribed(status.getCode(), message, state);
    }
    return detail == null
        ? undescribed(status.getCode(), message, state)
        : Failure.described(message, status.getCode(), detail, List.copyOf(violations), state);
  }

  /** A status of a proxy's or the library's own making: the gateway's always have details. */
  private static Failure undescribed(Status.Code code, String message, CallState state) {
    ErrorReason reason = ErrorReason.ERROR_REASON_UNSPECIFIED;
    if (code == Status.Code.DEADLINE_EXCEEDED) {
      reason = ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED;
    } else if (state.outputStarted() && code != Status.Code.CANCELLED) {
      // Whatever broke it, what was delivered must not be asked for again blindly.
      reason = ErrorReason.ERROR_REASON_STREAM_INTERRUPTED;
    }
    boolean retryable = code == Status.Code.UNAVAILABLE && !state.outputStarted();
    return Failure.undescribed(message, code, reason, retryable, state);
  }

  private static List<Any> detailsIn(Metadata trailers) {
    com.google.rpc.Status status = trailers == null ? null : trailers.get(DETAILS);
    return status == null ? List.of() : status.getDetailsList();
  }

  private static String requestIdOf(Metadata trailers) {
    String id = trailers == null ? null : trailers.get(REQUEST_ID);
    return id == null ? "" : id;
  }
}
