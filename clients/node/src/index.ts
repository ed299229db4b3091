/** Turnout's client: one contract in front of many language-model providers. */
export { Answer, type FinishReasonName } from "./answer.js";
export type { CallOptions, Timeouts } from "./call.js";
export type { Tls } from "./channel.js";
export { TurnoutClient, type ClientSettings } from "./client.js";
export { durationOf, millisecondsOf } from "./durations.js";
export { EmbedAll, type Embedded, type Window } from "./embed_all.js";
export * from "./errors.js";
export {
  assistant,
  media,
  system,
  toolResult,
  user,
  type Content,
  type MediaOptions,
  type Piece,
  type Prompt,
  type ToolLike,
  type Turn,
} from "./messages.js";
export type {
  CacheInput,
  ChatInput,
  EmbedSettings,
  RoutingInput,
  StreamInput,
  UsageInput,
} from "./requests.js";
export type { Violation } from "./status_details.js";
export { ChatStream, type OnRestart } from "./stream.js";
export type { TraceHook } from "./trace.js";
export type { Embeddings } from "./vectors.js";
// What the contract itself calls by these names; all of it is in @turnout/client/v1/*.
export { FinishReason, type ChatResponse, type Finish } from "./gen/turnout/v1/chat_service.js";
export { Message, Part, Role, type ToolCall } from "./gen/turnout/v1/content.js";
export { ErrorReason, type AttemptFailure } from "./gen/turnout/v1/errors.js";
export {
  Capability,
  CircuitState,
  type Model,
  type ProviderStatus,
} from "./gen/turnout/v1/model_service.js";
export { CacheStatus, type Route } from "./gen/turnout/v1/routing.js";
export { Usage } from "./gen/turnout/v1/usage.js";
export type { Limit, UsageRow } from "./gen/turnout/v1/usage_service.js";
