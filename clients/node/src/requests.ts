/** Requests of the contract from object literals: its own fields, and shorter forms of some. */
import {
  ChatRequest,
  ResponseFormat_Kind,
  ThinkingOptions_Effort,
  ToolChoice_Mode,
  type DeepPartial,
  type ProviderParameters,
  type ResponseFormat,
  type StreamOptions,
  type ThinkingOptions,
  type ToolChoice,
} from "./gen/turnout/v1/chat_service.js";
import {
  EmbeddingEncoding,
  EmbedOptions,
  EmbedRequest_InputType,
} from "./gen/turnout/v1/embed_service.js";
import {
  CacheMode,
  MidStreamPolicy,
  type CacheOptions,
  type RoutingOptions,
} from "./gen/turnout/v1/routing.js";
import { QueryUsageRequest, UsageDimension } from "./gen/turnout/v1/usage_service.js";
import { durationOf } from "./durations.js";
import { conversation, system, tool, type Prompt, type ToolLike } from "./messages.js";
import { valueOf, type Choice, type Word } from "./words.js";

/** Fields of a message of the contract, some of them written otherwise. */
type With<T, Shorter> = Omit<DeepPartial<T>, keyof Shorter> & Shorter;

/** Where a call may go: the contract's RoutingOptions; an enum by name, times in milliseconds. */
export type RoutingInput = With<
  RoutingOptions,
  {
    midStreamPolicy?: Choice<typeof MidStreamPolicy>;
    firstOutputTimeoutMs?: number;
    stallTimeoutMs?: number;
  }
>;

/** How the cache is used: its mode alone, or the contract's CacheOptions. */
export type CacheInput =
  | Word<typeof CacheMode>
  | With<CacheOptions, { mode?: Choice<typeof CacheMode>; maxAgeMs?: number }>;

/** What a stream shall hold besides text: the contract's StreamOptions. */
export type StreamInput = With<StreamOptions, { coalesceMs?: number }>;

/** What to ask of which model: the contract's ChatRequest, with shorter forms. */
export type ChatInput = With<
  ChatRequest,
  {
    /** Alias or `provider/model`. */
    model: string;
    /** A text, a turn or turns, oldest first. */
    messages: Prompt;
    /** Instructions, put before the messages. */
    system?: string;
    tools?: readonly ToolLike[];
    /** A mode, or the contract's form: `{ name }` is the one tool to call. */
    toolChoice?: Word<typeof ToolChoice_Mode> | DeepPartial<ToolChoice> | undefined;
    /** `"json"` is any object; `{ schema }` one that fits the JSON Schema. */
    responseFormat?:
      "text" | "json" | { schema: object; name?: string } | DeepPartial<ResponseFormat> | undefined;
    /** An effort or a number of tokens, which also show the thinking; or the contract's form. */
    thinking?:
      Word<typeof ThinkingOptions_Effort> | number | DeepPartial<ThinkingOptions> | undefined;
    routing?: RoutingInput | undefined;
    cache?: CacheInput | undefined;
    stream?: StreamInput | undefined;
    /** By provider: merged into that provider's request only. */
    providerParameters?: Readonly<Record<string, object>> | readonly ProviderParameters[];
  }
>;

/** How to embed: the contract's EmbedOptions, with shorter forms. */
export type EmbedSettings = With<
  EmbedOptions,
  {
    /** Alias or `provider/model`. */
    model: string;
    encoding?: Choice<typeof EmbeddingEncoding>;
    inputType?: Choice<typeof EmbedRequest_InputType>;
    routing?: RoutingInput | undefined;
    cache?: CacheInput | undefined;
  }
>;

/** What usage to sum up. */
export interface UsageInput {
  start: Date;
  /** Left out: now. */
  end?: Date;
  /** What to break down by; nothing gives one row of totals. */
  by?: readonly Word<typeof UsageDimension>[];
  /** Length of a bucket, by time. */
  bucketMs?: number;
  /** The label to break down by. */
  labelKey?: string;
}

/** The request of Chat and CompleteChat. */
export function chatRequest(input: ChatInput): ChatRequest {
  const { system: instructions, messages, tools = [], providerParameters = [] } = input;
  const first = instructions === undefined ? [] : [system(instructions)];
  return ChatRequest.fromPartial({
    ...input,
    messages: [...first, ...conversation(messages)],
    tools: tools.map(tool),
    toolChoice: toolChoice(input.toolChoice),
    responseFormat: responseFormat(input.responseFormat),
    thinking: thinking(input.thinking),
    routing: routing(input.routing),
    cache: cache(input.cache),
    stream: input.stream && timed(input.stream, { coalesce: input.stream.coalesceMs }),
    providerParameters: isList(providerParameters)
      ? [...providerParameters]
      : Object.entries(providerParameters).map(([provider, parameters]) => ({
          provider,
          json: JSON.stringify(parameters),
        })),
  });
}

/** The options of Embed and EmbedStream. */
export function embedOptions(settings: EmbedSettings): EmbedOptions {
  return EmbedOptions.fromPartial({
    ...settings,
    encoding: valueOf(EmbeddingEncoding, settings.encoding ?? EmbeddingEncoding.FLOAT32),
    inputType: valueOf(
      EmbedRequest_InputType,
      settings.inputType ?? EmbedRequest_InputType.UNSPECIFIED,
    ),
    routing: routing(settings.routing),
    cache: cache(settings.cache),
  });
}

/** The request of the first page. */
export function usageRequest(input: UsageInput): QueryUsageRequest {
  const { start, end, by = [], bucketMs, labelKey = "" } = input;
  return QueryUsageRequest.fromPartial({
    startTime: start,
    endTime: end,
    dimensions: by.map((word) => valueOf(UsageDimension, word)),
    bucket: bucketMs === undefined ? undefined : durationOf(bucketMs),
    labelKey,
  });
}

function toolChoice(given: ChatInput["toolChoice"]): DeepPartial<ToolChoice> | undefined {
  if (typeof given === "string") return { mode: valueOf(ToolChoice_Mode, given) };
  return given?.name ? { mode: ToolChoice_Mode.REQUIRED, ...given } : given;
}

function responseFormat(
  given: ChatInput["responseFormat"],
): DeepPartial<ResponseFormat> | undefined {
  if (given === "json") return { kind: ResponseFormat_Kind.JSON_OBJECT };
  if (given === "text") return { kind: ResponseFormat_Kind.TEXT };
  if (given === undefined || !("schema" in given)) return given;
  const { schema, name = "" } = given;
  const jsonSchema = JSON.stringify(schema);
  return { kind: ResponseFormat_Kind.JSON_SCHEMA, jsonSchema, schemaName: name };
}

function thinking(given: ChatInput["thinking"]): DeepPartial<ThinkingOptions> | undefined {
  if (typeof given === "number") return { budgetTokens: given, include: true };
  if (typeof given !== "string") return given;
  return { effort: valueOf(ThinkingOptions_Effort, given), include: given !== "none" };
}

function routing(given: RoutingInput | undefined): DeepPartial<RoutingOptions> | undefined {
  if (given === undefined) return undefined;
  const {
    midStreamPolicy = MidStreamPolicy.UNSPECIFIED,
    firstOutputTimeoutMs,
    stallTimeoutMs,
  } = given;
  return {
    ...timed(given, { firstOutputTimeout: firstOutputTimeoutMs, stallTimeout: stallTimeoutMs }),
    midStreamPolicy: valueOf(MidStreamPolicy, midStreamPolicy),
  };
}

function cache(given: CacheInput | undefined): DeepPartial<CacheOptions> | undefined {
  if (given === undefined) return undefined;
  const { mode = CacheMode.UNSPECIFIED, ...rest } =
    typeof given === "string" ? { mode: given } : given;
  return { ...timed(rest, { maxAge: rest.maxAgeMs }), mode: valueOf(CacheMode, mode) };
}

/** The same, with spans that were given in milliseconds in the contract's form. */
function timed<T extends object>(given: T, spansMs: Record<string, number | undefined>): T {
  const set = Object.entries(spansMs).flatMap(([field, spanMs]) =>
    spanMs === undefined ? [] : [[field, durationOf(spanMs)] as const],
  );
  return { ...given, ...Object.fromEntries(set) };
}

function isList<T>(given: object | readonly T[]): given is readonly T[] {
  return Array.isArray(given);
}
