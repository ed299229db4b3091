/** Any number of texts over EmbedStream, with a bounded number of them under way. */
import type { ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import type { Call } from "./call.js";
import { TurnoutError } from "./errors.js";
import { ErrorReason } from "./gen/turnout/v1/errors.js";
import { classOf, failureOf, noFinish, reasonName } from "./failures.js";
import type {
  EmbedItem,
  EmbedItemResult,
  EmbedOptions,
  EmbedStreamEnd,
  EmbedStreamRequest,
  EmbedStreamResponse,
} from "./gen/turnout/v1/embed_service.js";
import { Changes, Incoming, isOk, iteratorOf } from "./rpc.js";
import { vectorOf } from "./vectors.js";

const MAX_BATCH_BYTES = 512 * 1024;

/** What became of the text at `position`: a vector, or the error when it alone failed. */
export type Embedded =
  | { readonly position: number; readonly vector: Float32Array; readonly error: undefined }
  | { readonly position: number; readonly vector: undefined; readonly error: TurnoutError };

/** How texts are sent. */
export interface Window {
  /** Most texts under way; default 1024. */
  window?: number | undefined;
  /** Most texts in a message; default 64. */
  batchSize?: number | undefined;
}

/** Results in the order they come. Leaving a `for await` over it cancels the rest. */
export class EmbedAll implements AsyncIterable<Embedded>, Disposable {
  /** The call's `x-request-id`. */
  readonly requestId: string;
  /** Usage and counts, once all results were read. */
  summary: EmbedStreamEnd | undefined;
  readonly #incoming: Incoming<EmbedStreamResponse>;
  readonly #changes = new Changes();
  #ready: Embedded[] = [];
  #over = false;
  #failure: { error: unknown } | undefined;
  #sourceFailure: { error: unknown } | undefined;
  #free: number;

  /** @internal */
  constructor(
    private readonly stream: ClientDuplexStream<EmbedStreamRequest, EmbedStreamResponse>,
    private readonly options: EmbedOptions,
    texts: Iterable<string> | AsyncIterable<string>,
    { window = 1024, batchSize = 64 }: Window,
    private readonly call: Call,
  ) {
    this.requestId = call.requestId;
    this.#free = window;
    this.#incoming = new Incoming(stream, call.signal);
    stream.on("drain", () => this.#changes.tell());
    stream.on("status", () => this.#changes.tell());
    void this.#send(batches(texts, Math.min(batchSize, window)));
  }

  /** The results. Throws what the iterable of texts threw, if it did. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Embedded, undefined> {
    return iteratorOf(
      () => this.#read(),
      () => this.cancel(),
    );
  }

  /** Ends the call. Reading on then throws Cancelled. */
  cancel(): void {
    if (!this.#over) this.#incoming.cancel();
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  async #read(): Promise<Embedded | undefined> {
    for (;;) {
      const embedded = this.#ready.pop();
      if (embedded !== undefined) return embedded;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#over) return undefined;
      const read = await this.#incoming.next();
      if ("message" in read) this.#take(read.message);
      else this.#end(read.ended);
    }
  }

  /** Keeps a message's results, to be popped from the end. */
  #take({ payload }: EmbedStreamResponse): void {
    if (payload?.$case === "end") this.summary = payload.value;
    if (payload?.$case !== "results") return;
    const { results } = payload.value;
    // Another reader may have left some.
    this.#ready.unshift(...results.map((result) => this.#embedded(result)).reverse());
    this.#free += results.length;
    this.#changes.tell();
  }

  #embedded({ id, outcome }: EmbedItemResult): Embedded {
    const position = Number(id);
    if (outcome?.$case === "embedding") {
      const vector = vectorOf(outcome.value, this.options.encoding, this.options.dimensions);
      return { position, vector, error: undefined };
    }
    const reason = reasonName(outcome?.value.reason ?? ErrorReason.UNSPECIFIED);
    const told = { code: "OK", reason, requestId: this.requestId } as const;
    return {
      position,
      vector: undefined,
      error: new (classOf(reason))(outcome?.value.message ?? "", told),
    };
  }

  #end(ended: StatusObject): void {
    this.#over = true;
    const failed = { requestId: this.requestId, started: true };
    if (this.#sourceFailure !== undefined) this.#failure = this.#sourceFailure;
    else if (!isOk(ended)) this.#failure = { error: failureOf(ended, this.call) };
    else if (this.summary === undefined) this.#failure = { error: noFinish(failed) };
  }

  async #send(items: AsyncIterable<EmbedItem[]>): Promise<void> {
    try {
      this.stream.write({ payload: { $case: "options", value: this.options } });
      for await (const batch of items) {
        if (!(await this.#hasRoom(batch.length))) return;
        this.#free -= batch.length;
        this.stream.write({ payload: { $case: "items", value: { items: batch } } });
      }
      this.stream.end();
    } catch (error) {
      this.#sourceFailure = { error };
      this.#incoming.cancel();
    }
  }

  /** Waits until so many more may be under way; false when the call has ended instead. */
  async #hasRoom(count: number): Promise<boolean> {
    while (this.#incoming.ended === undefined) {
      if (this.#free >= count && !this.stream.writableNeedDrain) return true;
      await this.#changes.next();
    }
    return false;
  }
}

/** The texts, numbered and gathered into messages. */
async function* batches(
  texts: Iterable<string> | AsyncIterable<string>,
  batchSize: number,
): AsyncGenerator<EmbedItem[]> {
  let batch: EmbedItem[] = [];
  let sizeBytes = 0;
  let position = 0n;
  // A bare text is one text, though its characters can be iterated.
  for await (const text of typeof texts === "string" ? [texts] : texts) {
    const textBytes = Buffer.byteLength(text);
    const tooLong = sizeBytes + textBytes > MAX_BATCH_BYTES;
    if (batch.length > 0 && (tooLong || batch.length >= batchSize)) {
      yield batch;
      batch = [];
      sizeBytes = 0;
    }
    batch.push({ id: position++, text });
    sizeBytes += textBytes;
  }
  if (batch.length > 0) yield batch;
}
