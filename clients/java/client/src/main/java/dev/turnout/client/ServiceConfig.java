package dev.turnout.client;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What gRPC may do by itself: spread calls over all addresses, and repeat them.
 *
 * <p>UNAVAILABLE alone is tried again, and only before response headers; the server's pushback says
 * when. The throttle stops retries once they are most of what is sent.
 */
final class ServiceConfig {
  private ServiceConfig() {}

  /** As the map that grpc-java wants: all numbers are doubles. */
  static Map<String, Object> of(int maxAttempts, boolean healthCheck) {
    Map<String, Object> method = new HashMap<>(Map.of("name", List.of(Map.of())));
    if (maxAttempts > 1) {
      method.put(
          "retryPolicy",
          Map.of(
              "maxAttempts", (double) maxAttempts,
              "initialBackoff", "0.2s",
              "maxBackoff", "5s",
              "backoffMultiplier", 2.0,
              "retryableStatusCodes", List.of("UNAVAILABLE")));
    }
    Map<String, Object> config = new HashMap<>();
    config.put("loadBalancingConfig", List.of(Map.of("round_robin", Map.of())));
    config.put("methodConfig", List.of(method));
    config.put("retryThrottling", Map.of("maxTokens", 100.0, "tokenRatio", 0.1));
    if (healthCheck) {
      config.put("healthCheckConfig", Map.of("serviceName", ""));
    }
    return config;
  }
}
