import { expect, test } from "vitest";
import {
  ChatRequest,
  ResponseFormat_Kind,
  ThinkingOptions_Effort,
  ToolChoice_Mode,
} from "../src/gen/turnout/v1/chat_service.js";
import { EmbeddingEncoding, EmbedRequest_InputType } from "../src/gen/turnout/v1/embed_service.js";
import { CacheMode, MidStreamPolicy } from "../src/gen/turnout/v1/routing.js";
import { UsageDimension } from "../src/gen/turnout/v1/usage_service.js";
import { durationOf, system, user, type ChatInput } from "../src/index.js";
import { chatRequest, embedOptions, usageRequest } from "../src/requests.js";

function request(options: Omit<ChatInput, "model" | "messages">): ChatRequest {
  return chatRequest({ ...options, model: "m", messages: "Hi." });
}

test("what is left out is not set", () => {
  expect(request({})).toEqual(ChatRequest.fromPartial({ model: "m", messages: [user("Hi.")] }));
});

test("zero is a value, and a large seed keeps its digits", () => {
  const { temperature, seed } = request({ temperature: 0, seed: 9007199254740993n });
  expect([temperature, seed]).toEqual([0, 9007199254740993n]);
});

test("the system text goes first", () => {
  expect(request({ system: "Be brief." }).messages).toEqual([system("Be brief."), user("Hi.")]);
});

test("a tool choice is a mode or a tool's name", () => {
  expect(request({ toolChoice: "none" }).toolChoice).toMatchObject({ mode: ToolChoice_Mode.NONE });
  const one = request({ toolChoice: { name: "add", disableParallel: true } }).toolChoice;
  expect(one).toEqual({ mode: ToolChoice_Mode.REQUIRED, name: "add", disableParallel: true });
});

test("a schema is a response format", () => {
  const kinds = ResponseFormat_Kind;
  const format = request({
    responseFormat: { schema: { type: "object" }, name: "s" },
  }).responseFormat;
  expect(format).toEqual({
    kind: kinds.JSON_SCHEMA,
    jsonSchema: '{"type":"object"}',
    schemaName: "s",
  });
  expect(request({ responseFormat: "json" }).responseFormat).toMatchObject({
    kind: kinds.JSON_OBJECT,
  });
  expect(request({ responseFormat: "text" }).responseFormat).toMatchObject({ kind: kinds.TEXT });
});

test("thinking is an effort or a budget, and is shown", () => {
  const efforts = ThinkingOptions_Effort;
  expect(request({ thinking: "low" }).thinking).toMatchObject({
    effort: efforts.LOW,
    include: true,
  });
  expect(request({ thinking: "none" }).thinking).toMatchObject({
    effort: efforts.NONE,
    include: false,
  });
  expect(request({ thinking: 512 }).thinking).toMatchObject({ budgetTokens: 512, include: true });
});

test("routing, cache and stream take names and milliseconds", () => {
  const made = request({
    routing: { midStreamPolicy: "restart", fallbackModels: ["b"], stallTimeoutMs: 1500 },
    cache: { mode: "read_write", maxAgeMs: 60_000 },
    stream: { progress: true, coalesceMs: 0.25 },
    labels: { app: "x" },
  });
  expect(made.routing).toMatchObject({
    midStreamPolicy: MidStreamPolicy.RESTART,
    fallbackModels: ["b"],
    stallTimeout: { seconds: 1n, nanos: 500_000_000 },
    firstOutputTimeout: undefined,
  });
  expect(made.cache).toMatchObject({ mode: CacheMode.READ_WRITE, maxAge: durationOf(60_000) });
  expect(made.stream).toMatchObject({ progress: true, coalesce: { seconds: 0n, nanos: 250_000 } });
  expect(made.labels).toEqual({ app: "x" });
  expect(request({ cache: "off" }).cache).toMatchObject({ mode: CacheMode.OFF });
});

test("parameters for one provider are JSON", () => {
  const { providerParameters } = request({ providerParameters: { scripted: { x: 1 } } });
  expect(providerParameters).toEqual([{ provider: "scripted", json: '{"x":1}' }]);
});

test("a whole request is taken as it is", () => {
  const whole = ChatRequest.fromPartial({
    model: "m",
    messages: [{ parts: [{ content: { $case: "text", value: "x" } }] }],
    routing: { midStreamPolicy: MidStreamPolicy.CONTINUE, stallTimeout: durationOf(1) },
    cache: { maxAge: durationOf(2) },
    stream: { coalesce: durationOf(3) },
    toolChoice: { mode: ToolChoice_Mode.AUTO },
    providerParameters: [{ provider: "p", json: "{}" }],
  });
  expect(chatRequest(whole)).toEqual(whole);
});

test("an unknown word is refused with the known ones", () => {
  const wrong = "restarting" as "restart";
  expect(() => request({ routing: { midStreamPolicy: wrong } })).toThrow(
    '"restarting" is none of fail, restart, continue',
  );
});

test("embedding options take names", () => {
  expect(embedOptions({ model: "e", encoding: "int8", inputType: "query" })).toMatchObject({
    encoding: EmbeddingEncoding.INT8,
    inputType: EmbedRequest_InputType.QUERY,
    dimensions: 0,
  });
});

test("usage is asked for by dates", () => {
  const start = new Date("2026-11-01T00:00:00Z");
  expect(
    usageRequest({ start, by: ["time", "label"], bucketMs: 3_600_000, labelKey: "app" }),
  ).toMatchObject({
    startTime: start,
    endTime: undefined,
    dimensions: [UsageDimension.TIME, UsageDimension.LABEL],
    bucket: { seconds: 3600n, nanos: 0 },
    labelKey: "app",
  });
});
