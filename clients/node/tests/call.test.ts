import { expect, test } from "vitest";
import { Caller } from "../src/call.js";

test("each call has an id of its own", () => {
  const caller = new Caller(undefined, undefined, undefined);
  const ids = [caller.call({}, null), caller.call({}, null)].map((call) => call.requestId);
  expect(new Set(ids).size).toBe(2);
});

test("key, tenant, options and the caller's metadata go besides", () => {
  const caller = new Caller("key", "acme", undefined);
  const options = {
    idempotencyKey: "order-17",
    priority: "batch",
    metadata: { "x-more": "1" },
  } as const;
  expect(caller.call(options, null).metadata.getMap()).toMatchObject({
    authorization: "Bearer key",
    "x-tenant-id": "acme",
    "idempotency-key": "order-17",
    "x-priority": "batch",
    "x-more": "1",
  });
});

test("a request id among the metadata is the call's", () => {
  const caller = new Caller(undefined, undefined, undefined);
  expect(caller.call({ metadata: { "x-request-id": "r-1" } }, null).requestId).toBe("r-1");
});

test("a trace hook writes headers", () => {
  const caller = new Caller(undefined, undefined, (headers) => {
    headers["traceparent"] = "00-1-2-01";
  });
  expect(caller.call({}, null).metadata.get("traceparent")).toEqual(["00-1-2-01"]);
});

test("null is no deadline, and what is left out is the default", () => {
  const caller = new Caller(undefined, undefined, undefined);
  expect(caller.call({ timeoutMs: null }, 1000).deadline).toBeUndefined();
  expect(caller.call({}, 1000).deadline).toBeGreaterThan(Date.now());
});
