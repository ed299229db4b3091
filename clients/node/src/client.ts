import { Client, type ChannelCredentials, type ClientOptions } from "@grpc/grpc-js";
import { answerOf, type Answer } from "./answer.js";
import { Caller, TIMEOUTS, type Call, type CallOptions, type Timeouts } from "./call.js";
import { channelOptions, credentialsOf, type Tls } from "./channel.js";
import { EmbedAll, type Window } from "./embed_all.js";
import { failureOf } from "./failures.js";
import { ChatServiceService } from "./gen/turnout/v1/chat_service.js";
import { EmbedServiceService } from "./gen/turnout/v1/embed_service.js";
import { Model, ModelServiceService, type ProviderStatus } from "./gen/turnout/v1/model_service.js";
import {
  UsageServiceService,
  type Limit,
  type QueryUsageRequest,
  type UsageRow,
} from "./gen/turnout/v1/usage_service.js";
import {
  chatRequest,
  embedOptions,
  usageRequest,
  type ChatInput,
  type EmbedSettings,
  type UsageInput,
} from "./requests.js";
import { bidiStream, isOk, iteratorOf, serverStream, unary, type Method } from "./rpc.js";
import { ChatStream, type OnRestart } from "./stream.js";
import { openTelemetryHook, type TraceHook } from "./trace.js";
import { embeddingsOf, type Embeddings } from "./vectors.js";

/** How a client calls. */
export interface ClientSettings {
  /** Goes out as it is: over a network, use `tls`. */
  apiKey?: string | undefined;
  /** For trusted peers, which may name the tenant they call for. */
  tenant?: string | undefined;
  /** Default false, a plain connection. */
  tls?: boolean | Tls | ChannelCredentials | undefined;
  /** Deadlines of calls that set none themselves. */
  timeouts?: Partial<Timeouts> | undefined;
  /** Left out, OpenTelemetry's propagator where `@opentelemetry/api` is installed. */
  trace?: TraceHook | undefined;
  /** Tries of a call in all, each but the first after UNAVAILABLE before output. Default 4, at most 5. */
  maxAttempts?: number | undefined;
  /** Options of grpc-js, which win over the client's own; `channelOverride` replaces the channel. */
  channelOptions?: ClientOptions | undefined;
}

/**
 * A connection to Turnout, to be kept and shared.
 *
 * ```ts
 * const client = new TurnoutClient("localhost:50051");
 * for await (const text of client.chat({ model: "chat", messages: "Why is the sky blue?" })) {
 *   process.stdout.write(text);
 * }
 * client.close();
 * ```
 *
 * Every method fails with {@link TurnoutError}, or a class below it. UNAVAILABLE is tried again by
 * itself, up to `maxAttempts` times in all and only before output.
 */
export class TurnoutClient implements Disposable {
  readonly #caller: Caller;
  readonly #timeouts: Timeouts;
  readonly #client: Client;

  constructor(address = "localhost:50051", settings: ClientSettings = {}) {
    const { tls = false, maxAttempts = 4, trace = openTelemetryHook() } = settings;
    this.#caller = new Caller(settings.apiKey, settings.tenant, trace);
    this.#timeouts = { ...TIMEOUTS, ...settings.timeouts };
    const options = channelOptions(maxAttempts, settings.channelOptions ?? {});
    this.#client = new Client(address, credentialsOf(tls), options);
  }

  /** Asks, and reads the answer as it is written. Failures are thrown while reading. */
  chat(input: ChatInput, options: CallOptions & { onRestart?: OnRestart } = {}): ChatStream {
    const call = this.#caller.call(options, this.#timeouts.chatMs);
    const incoming = serverStream(this.#client, ChatServiceService.chat, chatRequest(input), call);
    return new ChatStream(incoming, call, options.onRestart);
  }

  /** Asks, and gets the whole answer at once. */
  async complete(input: ChatInput, options: CallOptions = {}): Promise<Answer> {
    const call = this.#caller.call(options, this.#timeouts.chatMs);
    return answerOf(await this.#unary(ChatServiceService.completeChat, chatRequest(input), call));
  }

  /** The vectors of a batch: all of them or none. For many texts, use embedAll. */
  async embed(
    input: EmbedSettings & { texts: readonly string[] },
    options: CallOptions = {},
  ): Promise<Embeddings> {
    const call = this.#caller.call(options, this.#timeouts.embedMs);
    const request = { ...embedOptions(input), texts: [...input.texts] };
    const response = await this.#unary(EmbedServiceService.embed, request, call);
    return embeddingsOf(response, request.encoding);
  }

  /**
   * The vectors of any number of texts, as they come and in any order.
   *
   * The texts, which may come asynchronously, are read no further ahead than the window.
   */
  embedAll(
    settings: EmbedSettings,
    texts: Iterable<string> | AsyncIterable<string>,
    options: CallOptions & Window = {},
  ): EmbedAll {
    const call = this.#caller.call(options, this.#timeouts.embedAllMs);
    const first = embedOptions(settings);
    const stream = bidiStream(this.#client, EmbedServiceService.embedStream, call);
    return new EmbedAll(stream, first, texts, options, call);
  }

  /** All models that the caller may use. */
  async models(options: CallOptions = {}): Promise<Model[]> {
    const pages = this.#pages(ModelServiceService.listModels, pageOf, options);
    return (await pages).flatMap((page) => page.models);
  }

  /** One model. Fails with ModelNotFound. */
  async model(name: string, options: CallOptions = {}): Promise<Model> {
    const response = await this.#unary(
      ModelServiceService.getModel,
      { name },
      this.#reading(options),
    );
    return response.model ?? Model.create();
  }

  /** All providers and their state at the instance that answers. */
  async providers(options: CallOptions = {}): Promise<ProviderStatus[]> {
    const pages = this.#pages(ModelServiceService.listProviders, pageOf, options);
    return (await pages).flatMap((page) => page.providers);
  }

  /** All providers first, then those that changed, until the caller leaves. */
  watchProviders(options: CallOptions = {}): AsyncIterableIterator<ProviderStatus[], undefined> {
    const call = this.#caller.call(options, this.#timeouts.watchMs);
    const incoming = serverStream(this.#client, ModelServiceService.watchProviders, {}, call);
    const read = async (): Promise<ProviderStatus[] | undefined> => {
      const next = await incoming.next();
      if ("message" in next) return next.message.providers;
      if (!isOk(next.ended)) throw failureOf(next.ended, call);
      return undefined;
    };
    return iteratorOf(read, () => incoming.cancel());
  }

  /** The tenant's usage, broken down by what is named. */
  async usage(input: UsageInput, options: CallOptions = {}): Promise<UsageRow[]> {
    const request = usageRequest(input);
    const next = (pageToken: string): QueryUsageRequest => ({ ...request, pageToken });
    const pages = this.#pages(UsageServiceService.queryUsage, next, options);
    return (await pages).flatMap((page) => page.rows);
  }

  /** The limits that apply to the caller and what is left of them. */
  async limits(options: CallOptions = {}): Promise<Limit[]> {
    const call = this.#reading(options);
    return (await this.#unary(UsageServiceService.getLimits, {}, call)).limits;
  }

  /** Closes the connections, once the calls under way have ended. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    call: Call,
  ): Promise<Response> {
    return unary(this.#client, method, request, call);
  }

  #reading(options: CallOptions): Call {
    return this.#caller.call(options, this.#timeouts.readMs);
  }

  async #pages<Request, Page extends { nextPageToken: string }>(
    method: Method<Request, Page>,
    requestFor: (pageToken: string) => Request,
    options: CallOptions,
  ): Promise<Page[]> {
    const pages: Page[] = [];
    let pageToken = "";
    do {
      const page: Page = await this.#unary(method, requestFor(pageToken), this.#reading(options));
      pages.push(page);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return pages;
  }
}

/** The page of this token, as long as the server likes. */
function pageOf(pageToken: string): { pageSize: number; pageToken: string } {
  return { pageSize: 0, pageToken };
}
