import { ChannelCredentials, credentials, type ClientOptions } from "@grpc/grpc-js";

export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** How to encrypt, in PEM. Without roots the system's own; with key and chain, mTLS. */
export interface Tls {
  rootCertificates?: Buffer | undefined;
  privateKey?: Buffer | undefined;
  certificateChain?: Buffer | undefined;
}

/** The credentials that `tls` stands for. */
export function credentialsOf(tls: boolean | Tls | ChannelCredentials): ChannelCredentials {
  if (tls instanceof ChannelCredentials) return tls;
  if (tls === false) return credentials.createInsecure();
  const { rootCertificates, privateKey, certificateChain } = tls === true ? {} : tls;
  return credentials.createSsl(rootCertificates, privateKey, certificateChain);
}

/**
 * What the library may do by itself, as JSON.
 *
 * UNAVAILABLE alone is tried again, and only before response headers; the server's pushback says
 * when. The throttle stops retries once they are most of what is sent.
 */
export function serviceConfig(maxAttempts: number): string {
  const retryPolicy = {
    maxAttempts,
    initialBackoff: "0.2s",
    maxBackoff: "5s",
    backoffMultiplier: 2,
    retryableStatusCodes: ["UNAVAILABLE"],
  };
  return JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [{ name: [{}], ...(maxAttempts > 1 ? { retryPolicy } : {}) }],
    retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
  });
}

/** The channel's options; those given win. */
export function channelOptions(maxAttempts: number, given: ClientOptions): ClientOptions {
  return {
    "grpc.service_config": serviceConfig(maxAttempts),
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    // A request beyond this is not kept for another attempt; the library's 1 MiB would leave out
    // every prompt with a few images.
    "grpc.per_rpc_retry_buffer_size": 4 * 1024 * 1024,
    // Models are silent for long: find a dead connection all the same. Servers and the proxies
    // before them permit a ping every 10 s.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 0,
    ...given,
  };
}
