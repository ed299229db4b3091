import type { Duration } from "./gen/google/protobuf/duration.js";

/** A span of the contract in milliseconds, with a fraction where it has one. */
export function millisecondsOf(duration: Duration): number {
  return Number(duration.seconds) * 1e3 + duration.nanos / 1e6;
}

/** The contract's span of so many milliseconds, to the microsecond. */
export function durationOf(milliseconds: number): Duration {
  const seconds = Math.trunc(milliseconds / 1e3);
  return {
    seconds: BigInt(seconds),
    nanos: Math.round((milliseconds - seconds * 1e3) * 1e3) * 1e3,
  };
}
