import { randomUUID } from "node:crypto";
import { context, propagation } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { afterAll, beforeAll, inject, test } from "vitest";
import { TurnoutClient, TurnoutError, type Answer, type CallOptions } from "../src/index.js";
import { CASES, callsSeen, chatRequestOf, optionsOf, textsOf, type Case } from "./smoke_cases.js";
import { check, type Outcome } from "./smoke_check.js";

const server = inject("smoke");

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});

afterAll(() => {
  context.disable();
  propagation.disable();
});

test.each(CASES)(
  "smoke case $name",
  async (row) => {
    const requestId = randomUUID();
    const outcome: Outcome = { vectors: new Map(), failed: {}, names: [] };
    using client = new TurnoutClient(server.address, {
      apiKey: row.api_key ?? server.api_key,
      tenant: row.metadata?.["x-tenant-id"],
    });
    try {
      const trace = row.traceparent === undefined ? {} : { traceparent: row.traceparent };
      const traced = propagation.extract(context.active(), trace);
      await context.with(traced, () => run(client, row, outcome, optionsOf(row, requestId)));
    } catch (error) {
      if (!(error instanceof TurnoutError)) throw error;
      outcome.error = error;
    }
    check(row, outcome, requestId, await callsSeen(server.report, requestId));
  },
  30_000,
);

async function run(
  client: TurnoutClient,
  row: Case,
  outcome: Outcome,
  options: CallOptions,
): Promise<void> {
  switch (row.method) {
    case "Chat":
      outcome.answer = await chat(client, row, options);
      break;
    case "CompleteChat":
      outcome.answer = await client.complete(chatRequestOf(row), options);
      break;
    case "Embed": {
      const { model, dimensions } = row.request;
      const input = { model, dimensions, texts: textsOf(row), inputType: "document" } as const;
      const { vectors } = await client.embed(input, options);
      outcome.vectors = new Map(vectors.entries());
      break;
    }
    case "EmbedStream":
      await embedAll(client, row, outcome, options);
      break;
    case "ListModels":
      outcome.names = (await client.models(options)).map((model) => model.name);
      break;
    case "GetModel":
      outcome.names = [(await client.model(row.request.name, options)).name];
      break;
    case "ListProviders":
      outcome.names = (await client.providers(options)).map((status) => status.provider);
      break;
    case "WatchProviders":
      await watch(client, row, outcome, options);
      break;
    case "QueryUsage": {
      const rows = await client.usage({ start: new Date("2026-11-01"), by: ["model"] }, options);
      outcome.names = rows.flatMap((usage) => usage.dimensionValues);
      break;
    }
    case "GetLimits":
      outcome.names = (await client.limits(options)).map((limit) => limit.id);
      break;
    default:
      throw new Error(`no client method for ${row.method}`);
  }
}

async function chat(client: TurnoutClient, row: Case, options: CallOptions): Promise<Answer> {
  const cancelAfter = row.client?.cancel_after_deltas;
  if (cancelAfter === undefined) return client.chat(chatRequestOf(row), options).collect();
  const leaving = new AbortController();
  const stream = client.chat(chatRequestOf(row), { ...options, signal: leaving.signal });
  let deltas = 0;
  for await (const text of stream) if (text && ++deltas === cancelAfter) leaving.abort();
  return stream.answer;
}

async function embedAll(
  client: TurnoutClient,
  row: Case,
  outcome: Outcome,
  options: CallOptions,
): Promise<void> {
  const { model, dimensions } = row.request;
  const results = client.embedAll({ model, dimensions }, textsOf(row), options);
  for await (const { position, vector, error } of results) {
    if (error === undefined) outcome.vectors.set(position, vector);
    else outcome.failed[position] = error.reason;
  }
  if (results.summary?.embeddedItems !== BigInt(outcome.vectors.size)) {
    throw new Error("the summary does not count what came");
  }
}

async function watch(
  client: TurnoutClient,
  row: Case,
  outcome: Outcome,
  options: CallOptions,
): Promise<void> {
  let messages = 0;
  for await (const changed of client.watchProviders(options)) {
    outcome.names.push(...changed.map((status) => status.provider));
    if (++messages === row.client?.cancel_after_messages) break;
  }
}
