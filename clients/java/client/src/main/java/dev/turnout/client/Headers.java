package dev.turnout.client;

import io.grpc.Metadata;

/** Metadata that the gateway reads. */
final class Headers {
  static final Metadata.Key<String> AUTHORIZATION = key("authorization");
  static final Metadata.Key<String> TENANT = key("x-tenant-id");
  static final Metadata.Key<String> REQUEST_ID = key("x-request-id");
  static final Metadata.Key<String> IDEMPOTENCY_KEY = key("idempotency-key");
  static final Metadata.Key<String> PRIORITY = key("x-priority");

  private Headers() {}

  static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }
}
