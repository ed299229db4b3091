/** Which error a status becomes, told by a real server. */
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { classOf, reasonName } from "../src/failures.js";
import { ErrorDetail } from "../src/gen/turnout/v1/errors.js";
import * as turnout from "../src/index.js";
import { ErrorReason, TurnoutClient, TurnoutError } from "../src/index.js";

// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- no value of this contract
const NEWER = 999 as ErrorReason;
import { failWith, serveChat, type ChatCall } from "./chat_server.js";

/** A google.rpc.Status with these messages by name. */
function statusDetails(messages: Record<string, Uint8Array>): Uint8Array {
  const writer = new BinaryWriter();
  for (const [name, bytes] of Object.entries(messages)) {
    writer.uint32(26).fork().uint32(10).string(`type.googleapis.com/${name}`);
    writer.uint32(18).bytes(bytes).join();
  }
  return writer.finish();
}

function detailsOf(detail: Parameters<typeof ErrorDetail.fromPartial>[0]): Uint8Array {
  const bytes = ErrorDetail.encode(ErrorDetail.fromPartial(detail)).finish();
  return statusDetails({ "turnout.v1.ErrorDetail": bytes });
}

async function errorOf(chat: (call: ChatCall) => void): Promise<TurnoutError> {
  using server = await serveChat(chat);
  using client = new TurnoutClient(server.address, { maxAttempts: 1 });
  const stream = client.chat({ model: "m", messages: "Hi." }, { requestId: "r-1" });
  const error: unknown = await stream.collect().catch((thrown: unknown) => thrown);
  if (!(error instanceof TurnoutError)) throw new Error("the call did not fail", { cause: error });
  return error;
}

const REASONS = Object.values(ErrorReason).filter((reason) => typeof reason === "number");

test.each(REASONS.filter((reason) => reason !== ErrorReason.UNSPECIFIED))(
  "reason %i of the contract has a class",
  (reason) => {
    expect(classOf(reasonName(reason))).not.toBe(TurnoutError);
  },
);

test("a reason newer than this client keeps its number", async () => {
  const error = await errorOf((call) => {
    failWith(call, status.ABORTED, "new", detailsOf({ reason: NEWER, retryable: true }));
  });
  expect(error).toMatchObject({ name: "TurnoutError", reason: "999", retryable: true });
});

test("message and fields tell what the gateway said", async () => {
  const attempts = [{ attempt: 1, provider: "scripted", reason: ErrorReason.PROVIDER_ERROR }];
  const retryDelay = turnout.durationOf(1500);
  const error = await errorOf((call) => {
    const detail = {
      reason: ErrorReason.PROVIDER_OVERLOADED,
      requestId: "r-2",
      attempts,
      retryDelay,
    };
    failWith(call, status.UNAVAILABLE, "all targets failed", detailsOf(detail));
  });
  expect(error).toBeInstanceOf(turnout.ProviderFailed);
  expect(error.message).toBe("all targets failed (PROVIDER_OVERLOADED, UNAVAILABLE, request r-2)");
  expect(error).toMatchObject({
    details: "all targets failed",
    requestId: "r-2",
    retryDelayMs: 1500,
  });
  expect(error.attempts[0]).toMatchObject({ provider: "scripted" });
});

test("details that cannot be read leave the status", async () => {
  const error = await errorOf((call) => {
    failWith(
      call,
      status.PERMISSION_DENIED,
      "no",
      statusDetails({ "turnout.v1.ErrorDetail": Buffer.from([8]) }),
    );
  });
  expect(error).toBeInstanceOf(turnout.Forbidden);
  expect(error).toMatchObject({ code: "PERMISSION_DENIED", reason: "", requestId: "r-1" });
});

test("an empty stream that ends well is a failure without output", async () => {
  const error = await errorOf((call) => call.end());
  expect(error).toBeInstanceOf(turnout.StreamInterrupted);
  expect(error).toMatchObject({ code: "UNKNOWN", outputStarted: false });
});

test("a failed stream fails again when it is read again", async () => {
  using server = await serveChat((call) => {
    failWith(call, status.INTERNAL, "broken");
  });
  using client = new TurnoutClient(server.address);
  const stream = client.chat({ model: "m", messages: "Hi." });
  await expect(stream.collect()).rejects.toBeInstanceOf(turnout.InternalError);
  await expect(stream.text()).rejects.toBeInstanceOf(turnout.InternalError);
});

test("a server that is not there is unavailable, and that may pass", async () => {
  using client = new TurnoutClient("localhost:1", { maxAttempts: 1 });
  const error: unknown = await client.models().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(turnout.Unavailable);
  expect(error).toMatchObject({ retryable: true, outputStarted: false });
});
