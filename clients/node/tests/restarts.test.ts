/** What a reader sees when the gateway starts an answer over. */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import {
  Restarted,
  TurnoutClient,
  type Answer,
  type ChatStream,
  type OnRestart,
} from "../src/index.js";
import { caseOf, chatRequestOf } from "./smoke_cases.js";

const { address, api_key: apiKey } = inject("smoke");
let client: TurnoutClient;

beforeAll(() => {
  client = new TurnoutClient(address, { apiKey });
});

afterAll(() => {
  client.close();
});

function restarted(onRestart?: OnRestart): ChatStream {
  const request = chatRequestOf(caseOf("restart_voids_what_came_before"));
  return client.chat(request, onRestart && { onRestart });
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const value of values) read.push(value);
  return read;
}

test("plain text iteration says that what was read is void", async () => {
  const failure: unknown = await all(restarted()).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Restarted);
  expect((failure as Restarted).partial?.text).toBe("One, tw");
});

test("iterating again after a restart gives the whole new answer", async () => {
  const stream = restarted();
  await expect(all(stream)).rejects.toBeInstanceOf(Restarted);
  expect(await all(stream)).toEqual(["1, ", "2, 3."]);
  expect(stream.answer.finishReason).toBe("STOP");
});

test("onRestart is told what is void and iteration goes on", async () => {
  const voided: Answer[] = [];
  const texts = await all(restarted((answer) => voided.push(answer)));
  expect(texts).toEqual(["One, tw", "1, ", "2, 3."]);
  expect(voided.map((answer) => answer.text)).toEqual(["One, tw"]);
  expect(voided[0]?.toolCalls[0]?.id).toBe("old");
});

test("snapshots never show two generations at once", async () => {
  const texts = (await all(restarted().snapshots())).map((answer) => answer.text);
  expect(texts).toEqual(["", "One, tw", "One, tw", "1, ", "1, 2, 3.", "1, 2, 3."]);
});

test("collecting after reading some text gives the last generation", async () => {
  const stream = restarted();
  await stream[Symbol.asyncIterator]().next();
  expect((await stream.collect()).text).toBe("1, 2, 3.");
});
