import { expect, test } from "vitest";
import { Assembly } from "../src/answer.js";
import { ChatResponse } from "../src/gen/turnout/v1/chat_service.js";

// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- no value of this contract
const NEWER = 99 as FinishReason;
import { FinishReason, Role } from "../src/index.js";

type Event = NonNullable<ChatResponse["event"]>;

function feed(assembly: Assembly, event: Event, partIndex = 0, generation = 0): unknown {
  return assembly.feed({ event, partIndex, generation });
}

function text(value: string): Event {
  return { $case: "textDelta", value };
}

function piece(id: string, name: string, argumentsJsonDelta: string): Event {
  return { $case: "toolCallDelta", value: { id, name, argumentsJsonDelta } };
}

test("an unfinished answer has no finish, usage or route", () => {
  const assembly = new Assembly();
  feed(assembly, text("Half"));
  const { finish, finishReason, usage, route, warnings } = assembly.answer();
  expect([finish, finishReason, usage, route, warnings]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    [],
  ]);
});

test("a finish newer than this client keeps its number", () => {
  const assembly = new Assembly();
  feed(assembly, { ...finish(), value: { ...finish().value, reason: NEWER } });
  expect(assembly.answer().finishReason).toBe("99");
});

test("pieces of parallel tool calls are put together by part", () => {
  const assembly = new Assembly();
  feed(assembly, piece("c1", "add", '{"a":'), 0);
  feed(assembly, piece("c2", "add", '{"b":'), 1);
  const early = assembly.answer();
  feed(assembly, piece("", "", "1}"), 0);
  feed(assembly, piece("", "", "2}"), 1);
  expect(early.toolCalls.map((call) => call.argumentsJson)).toEqual(['{"a":', '{"b":']);
  expect(assembly.answer().toolCalls).toEqual([
    { id: "c1", name: "add", argumentsJson: '{"a":1}' },
    { id: "c2", name: "add", argumentsJson: '{"b":2}' },
  ]);
});

test("output counts as started even when it was voided", () => {
  const assembly = new Assembly();
  feed(assembly, text("old"));
  expect(feed(assembly, { $case: "heartbeat", value: {} }, 0, 1)).toMatchObject({ text: "old" });
  expect([assembly.started, assembly.answer().text]).toEqual([true, ""]);
});

test("the turn to replay is the gateway's own when it sent one", () => {
  const assembly = new Assembly();
  feed(assembly, text("seen"));
  const message = { role: Role.ASSISTANT, text: "whole", parts: [], name: "" };
  feed(assembly, { ...finish(), value: { ...finish().value, message } });
  expect(assembly.answer().message()).toBe(message);
});

test("without one the turn to replay is text and tool calls", () => {
  const assembly = new Assembly();
  feed(assembly, text("Looking."));
  const call = { id: "c1", name: "weather", argumentsJson: "{}" };
  feed(assembly, { $case: "toolCall", value: call }, 1);
  expect(
    assembly
      .answer()
      .message()
      .parts.map((part) => part.content),
  ).toEqual([
    { $case: "text", value: "Looking." },
    { $case: "toolCall", value: call },
  ]);
});

function finish(): Extract<Event, { $case: "finish" }> {
  const { event } = ChatResponse.fromPartial({ event: { $case: "finish", value: {} } });
  if (event?.$case !== "finish") throw new Error("no finish was made");
  return event;
}
