package dev.turnout.client.errors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import dev.turnout.v1.ErrorDetail;
import dev.turnout.v1.ErrorReason;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class FailuresTest {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final CallState AFTER_OUTPUT = new CallState("id-1", true, "Half");

  private static StatusRuntimeException thrown(Status status, byte[] details) {
    var trailers = new Metadata();
    trailers.put(DETAILS, details);
    return status.asRuntimeException(trailers);
  }

  private static StatusRuntimeException thrown(Status status, ErrorDetail detail) {
    var violation =
        BadRequest.FieldViolation.newBuilder().setField("model").setDescription("must be set");
    var packed =
        com.google.rpc.Status.newBuilder()
            .addDetails(Any.pack(detail))
            .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(violation).build()));
    return thrown(status, packed.build().toByteArray());
  }

  @ParameterizedTest
  @EnumSource(
      value = ErrorReason.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"ERROR_REASON_UNSPECIFIED", "UNRECOGNIZED"})
  void everyReasonHasAnExceptionOfItsOwn(ErrorReason reason) {
    var detail = ErrorDetail.newBuilder().setReason(reason).setRequestId("id-2").build();
    var exception = Failures.of(thrown(Status.UNKNOWN, detail));
    assertNotSame(TurnoutException.class, exception.getClass());
    assertEquals(reason, exception.reason());
    assertEquals("id-2", exception.requestId());
  }

  @Test
  void aReasonNewerThanThisClientIsKnownByItsCode() {
    var detail = ErrorDetail.newBuilder().setReasonValue(4000).setRetryable(true).build();
    var exception = Failures.of(thrown(Status.UNAVAILABLE, detail), AFTER_OUTPUT);
    assertInstanceOf(UnavailableException.class, exception);
    assertSame(ErrorReason.UNRECOGNIZED, exception.reason());
    assertTrue(exception.retryable());
    assertTrue(exception.outputStarted());
    assertEquals("id-1", exception.requestId());
  }

  @Test
  void detailsThatCannotBeReadAreLeftAside() {
    var nonsense = thrown(Status.UNAVAILABLE, new byte[] {1, 2, 3});
    var exception = Failures.of(nonsense);
    assertInstanceOf(UnavailableException.class, exception);
    assertTrue(exception.retryable());
    assertSame(nonsense, exception.getCause());
  }

  @Test
  void aCancelAfterOutputIsStillACancel() {
    var exception = Failures.of(Status.CANCELLED.asRuntimeException(), AFTER_OUTPUT);
    assertInstanceOf(CancelledException.class, exception);
    assertEquals("Half", exception.partialText());
    assertFalse(exception.retryable());
  }

  @Test
  void theMessageSaysWhatWhereAndWhich() {
    var detail =
        ErrorDetail.newBuilder()
            .setReason(ErrorReason.ERROR_REASON_INVALID_REQUEST)
            .setRequestId("id-3")
            .build();
    var status = Status.INVALID_ARGUMENT.withDescription("1 field is invalid");
    assertEquals(
        "1 field is invalid; model: must be set (INVALID_REQUEST, INVALID_ARGUMENT, request id-3)",
        Failures.of(thrown(status, detail)).getMessage());
  }
}
