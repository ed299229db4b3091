import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Metadata } from "@grpc/grpc-js";
import { ErrorDetail } from "./gen/turnout/v1/errors.js";

/** A field of the request and what is wrong with it. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** What a failed call's `grpc-status-details-bin` says. */
export interface Details {
  /** Undefined when the status is not the gateway's own. */
  readonly detail: ErrorDetail | undefined;
  readonly violations: readonly Violation[];
}

/** Reads what the trailers of a failed call say; nothing when they are nobody's. */
export function detailsOf(trailers: Metadata): Details {
  let detail: ErrorDetail | undefined;
  let violations: readonly Violation[] = [];
  try {
    for (const [type, value] of packedIn(trailers)) {
      if (type === "turnout.v1.ErrorDetail") detail = ErrorDetail.decode(value);
      if (type === "google.rpc.BadRequest") violations = fieldsOf(value, 1).map(violation);
    }
  } catch {
    // A proxy may have cut it: the status itself still holds.
    return { detail: undefined, violations: [] };
  }
  return { detail, violations };
}

/** Name and bytes of each google.protobuf.Any in the google.rpc.Status. */
function packedIn(trailers: Metadata): [string, Uint8Array][] {
  return trailers
    .get("grpc-status-details-bin")
    .flatMap((status) => (typeof status === "string" ? [] : fieldsOf(status, 3)))
    .map((any) => [textOf(any, 1).replace(/^.*\//, ""), fieldsOf(any, 2)[0] ?? new Uint8Array()]);
}

function violation(bytes: Uint8Array): Violation {
  return { field: textOf(bytes, 1), description: textOf(bytes, 2) };
}

function textOf(message: Uint8Array, field: number): string {
  return new TextDecoder().decode(fieldsOf(message, field)[0]);
}

/**
 * All values of one length-delimited field. The few fields of google.rpc that are read here do not
 * make up for a second set of stubs.
 */
function fieldsOf(message: Uint8Array, wanted: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type, field);
  }
  return found;
}
