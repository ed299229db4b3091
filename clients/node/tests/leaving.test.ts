/** Callers who leave, and iterables of texts that fail. */
import { randomUUID } from "node:crypto";
import { getEventListeners } from "node:events";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Cancelled, TurnoutClient, type ChatStream } from "../src/index.js";
import { callsSeen, caseOf, chatRequestOf } from "./smoke_cases.js";

const { address, report, api_key: apiKey } = inject("smoke");
const ENDLESS = chatRequestOf(caseOf("caller_cancels"));
const SHORT = chatRequestOf(caseOf("streams_text"));
const VECTORS = { model: "smoke:embeds_10000_texts", dimensions: 4 };
let client: TurnoutClient;

beforeAll(() => {
  client = new TurnoutClient(address, { apiKey });
});

afterAll(() => {
  client.close();
});

async function outcomeOf(requestId: string): Promise<string | undefined> {
  return (await callsSeen(report, requestId))[0]?.outcome;
}

async function firstOf(stream: ChatStream): Promise<string | undefined> {
  for await (const text of stream) return text;
  return undefined;
}

test("breaking out of the loop cancels the rest", async () => {
  const requestId = randomUUID();
  const stream = client.chat(ENDLESS, { requestId });
  expect(await firstOf(stream)).toBe("one ");
  expect(await outcomeOf(requestId)).toBe("cancelled");
  await expect(stream.collect()).rejects.toBeInstanceOf(Cancelled);
});

test("leaving a using block cancels the call", async () => {
  const requestId = randomUUID();
  {
    using stream = client.chat(ENDLESS, { requestId });
    await stream.events().next();
  }
  expect(await outcomeOf(requestId)).toBe("cancelled");
});

test("an abort while waiting ends the call with the signal's reason as cause", async () => {
  const requestId = randomUUID();
  const leaving = new AbortController();
  const collecting = client.chat(ENDLESS, { requestId, signal: leaving.signal }).collect();
  setTimeout(() => {
    leaving.abort("seen enough");
  }, 50);
  const error: unknown = await collecting.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Cancelled);
  expect(error).toMatchObject({
    cause: "seen enough",
    code: "CANCELLED",
    partial: { text: "one two " },
  });
  expect(await outcomeOf(requestId)).toBe("cancelled");
});

test("a signal that was aborted before ends stream and unary calls at once", async () => {
  const signal = AbortSignal.abort();
  await expect(client.chat(SHORT, { signal }).collect()).rejects.toBeInstanceOf(Cancelled);
  await expect(client.complete(SHORT, { signal })).rejects.toBeInstanceOf(Cancelled);
});

test("a signal that outlives its calls keeps no listener of theirs", async () => {
  const { signal } = new AbortController();
  await client.chat(SHORT, { signal }).collect();
  await client.models({ signal });
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test("what the iterable of texts throws reaches the caller", async () => {
  function* texts(): Generator<string> {
    for (let number = 0; number < 100; number++) yield `text ${number}`;
    throw new Error("the file went away");
  }
  const reading = (async () => {
    for await (const { error } of client.embedAll(VECTORS, texts())) expect(error).toBeUndefined();
  })();
  await expect(reading).rejects.toThrow("the file went away");
});

test("leaving an endless embedAll ends the call and the texts, read no further than the window", async () => {
  const requestId = randomUUID();
  let read = 0;
  let closed: () => void = () => undefined;
  const sourceClosed = new Promise<void>((resolve) => (closed = resolve));
  function* texts(): Generator<string> {
    try {
      for (;;) yield `text ${read++}`;
    } finally {
      closed();
    }
  }
  for await (const { vector } of client.embedAll(VECTORS, texts(), { requestId, window: 128 })) {
    expect(vector).toHaveLength(4);
    break;
  }
  await sourceClosed;
  expect(read).toBeLessThan(1000);
  const [call] = await callsSeen(report, requestId);
  // grpc.aio may tell a cancel between two messages as the end of the texts: only "open" is wrong.
  expect(call?.outcome).not.toBe("open");
  expect(call?.unanswered_items_at_most).toBeLessThanOrEqual(128);
});

test("a bare text is one text to embed", async () => {
  const positions: number[] = [];
  for await (const { position } of client.embedAll(VECTORS, "text 7")) positions.push(position);
  expect(positions).toEqual([0]);
});
