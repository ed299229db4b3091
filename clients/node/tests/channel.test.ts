import { ServerCredentials, credentials } from "@grpc/grpc-js";
import { generate } from "selfsigned";
import { expect, test } from "vitest";
import { channelOptions, credentialsOf, serviceConfig } from "../src/channel.js";
import { TurnoutClient } from "../src/index.js";
import { serveChat } from "./chat_server.js";

interface ServiceConfig {
  methodConfig: { retryPolicy?: { retryableStatusCodes: string[] } }[];
}

function retryPolicy(maxAttempts: number): unknown {
  const config = JSON.parse(serviceConfig(maxAttempts)) as ServiceConfig;
  return config.methodConfig[0]?.retryPolicy;
}

test("only UNAVAILABLE is tried again", () => {
  expect(retryPolicy(4)).toMatchObject({ retryableStatusCodes: ["UNAVAILABLE"], maxAttempts: 4 });
});

test("one attempt is no retry policy", () => {
  expect(retryPolicy(1)).toBeUndefined();
});

test("options of the caller's win", () => {
  expect(channelOptions(4, { "grpc.keepalive_time_ms": 60_000 })).toMatchObject({
    "grpc.keepalive_time_ms": 60_000,
    "grpc.max_receive_message_length": 32 * 1024 * 1024,
  });
});

test("credentials of the caller's own are taken as they are", () => {
  const own = credentials.createInsecure();
  expect(credentialsOf(own)).toBe(own);
});

test("both sides prove themselves with mutual TLS", async () => {
  const made = await generate([{ name: "commonName", value: "localhost" }], { keySize: 2048 });
  const key = Buffer.from(made.private);
  const chain = Buffer.from(made.cert);
  const pair = { private_key: key, cert_chain: chain };
  using server = await serveChat(() => undefined, ServerCredentials.createSsl(chain, [pair], true));
  const tls = { rootCertificates: chain, privateKey: key, certificateChain: chain };
  using client = new TurnoutClient(server.address, { tls });
  expect((await client.complete({ model: "known", messages: "Hi." })).text).toBe("known");
  using stranger = new TurnoutClient(server.address, {
    tls: { rootCertificates: chain },
    maxAttempts: 1,
  });
  const refused = stranger.complete({ model: "unknown", messages: "Hi." }, { timeoutMs: 5_000 });
  await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE" });
});
