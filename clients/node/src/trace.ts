import { createRequire } from "node:module";

/** Writes the headers of the current trace (`traceparent` …) into the record it is given. */
export type TraceHook = (headers: Record<string, string>) => void;

/** OpenTelemetry's own propagator, where `@opentelemetry/api` is installed. */
export function openTelemetryHook(): TraceHook | undefined {
  try {
    // Loaded this way it may be missing, and the constructor need not wait for it.
    const api = createRequire(import.meta.url)(
      "@opentelemetry/api",
    ) as typeof import("@opentelemetry/api");
    return (headers) => api.propagation.inject(api.context.active(), headers);
  } catch {
    return undefined;
  }
}
