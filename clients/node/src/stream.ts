/**
 * The answer of a streamed call: text as it comes, every event, or all of it at once.
 *
 * Reading is safe against restarts: under midStreamPolicy "restart", and then only, the gateway may
 * void text that was already sent. `collect`, `text` and `snapshots` resolve that by themselves;
 * iterating over text throws Restarted, unless `onRestart` was given to take text back with.
 */
import type { StatusObject } from "@grpc/grpc-js";
import { Assembly, type Answer } from "./answer.js";
import type { Call } from "./call.js";
import { Restarted, type TurnoutError } from "./errors.js";
import { failureOf, noFinish, type FailedCall } from "./failures.js";
import type { ChatResponse } from "./gen/turnout/v1/chat_service.js";
import { isOk, iteratorOf, type Incoming } from "./rpc.js";

/** Called with what is void when the gateway starts an answer over. */
export type OnRestart = (voided: Answer) => void;

/** An answer under way. Leaving a `for await` over it, or its `using` block, cancels the rest. */
export class ChatStream implements AsyncIterable<string>, Disposable {
  /** The call's `x-request-id`. */
  readonly requestId: string;
  readonly #assembly = new Assembly();
  #voided: Answer | undefined;
  #held = "";
  #over = false;
  #failure: TurnoutError | undefined;

  /** @internal */
  constructor(
    private readonly incoming: Incoming<ChatResponse>,
    private readonly call: Call,
    private readonly onRestart: OnRestart | undefined,
  ) {
    this.requestId = call.requestId;
  }

  /** What has been read so far. */
  get answer(): Answer {
    return this.#assembly.answer();
  }

  /** The text, piece by piece. Throws Restarted when the text before is void; iterate on then. */
  [Symbol.asyncIterator](): AsyncIterableIterator<string, undefined> {
    return this.#iterate(() => this.#nextText());
  }

  /** Every event as it comes, whatever its generation, `finish` last. */
  events(): AsyncIterableIterator<ChatResponse, undefined> {
    return this.#iterate(() => this.#read());
  }

  /** The answer so far, after every event: for a display that is drawn anew each time. */
  snapshots(): AsyncIterableIterator<Answer, undefined> {
    return this.#iterate(async () =>
      (await this.#read()) === undefined ? undefined : this.answer,
    );
  }

  /** Reads to the end: the whole answer. */
  async collect(): Promise<Answer> {
    while ((await this.#read()) !== undefined);
    return this.answer;
  }

  /** Reads to the end: all of the text. */
  async text(): Promise<string> {
    return (await this.collect()).text;
  }

  /** Ends the call, and the provider's work with it. Reading on then throws Cancelled. */
  cancel(): void {
    if (!this.#over) this.incoming.cancel();
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  #iterate<T>(read: () => Promise<T | undefined>): AsyncIterableIterator<T, undefined> {
    return iteratorOf(read, () => this.cancel());
  }

  async #nextText(): Promise<string | undefined> {
    let text = this.#held;
    this.#held = "";
    while (text === "") {
      const event = await this.#read();
      if (event === undefined) return undefined;
      text = this.#textOf(event);
    }
    return text;
  }

  /** The event's text; throws Restarted first when it voids text that was read. */
  #textOf({ event }: ChatResponse): string {
    const text = event?.$case === "textDelta" ? event.value : "";
    const voided = this.#voided;
    this.#voided = undefined;
    if (voided === undefined || voided.text === "") return text;
    this.#held = text;
    throw new Restarted("the gateway starts the answer over: what was read is void", {
      code: "ABORTED",
      reason: "RESTARTED",
      requestId: this.requestId,
      outputStarted: true,
      partial: voided,
    });
  }

  async #read(): Promise<ChatResponse | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#over) return undefined;
    const read = await this.incoming.next();
    if ("message" in read) return this.#fed(read.message);
    this.#end(read.ended);
    return undefined;
  }

  #fed(event: ChatResponse): ChatResponse {
    const voided = this.#assembly.feed(event);
    if (voided === undefined) return event;
    if (this.onRestart !== undefined) this.onRestart(voided);
    else this.#voided = voided;
    return event;
  }

  #end(ended: StatusObject): void {
    this.#over = true;
    const ok = isOk(ended);
    if (ok && this.#assembly.finish !== undefined) return;
    const { requestId, signal } = this.call;
    const { started } = this.#assembly;
    const failed: FailedCall = { requestId, signal, started, partial: this.answer };
    this.#failure = ok ? noFinish(failed) : failureOf(ended, failed);
    throw this.#failure;
  }
}
