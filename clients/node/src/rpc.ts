import {
  status,
  type CallOptions as GrpcOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type StatusObject,
} from "@grpc/grpc-js";
import type { Call } from "./call.js";
import { failureOf } from "./failures.js";

/** A method as the stubs describe it. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** Calls a unary method. Rejects with TurnoutError. */
export function unary<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
  request: Request,
  call: Call,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const started = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      call.metadata,
      optionsOf(call),
      (error, response) => {
        release();
        if (error === null) resolve(response as Response);
        else reject(failureOf(error, call));
      },
    );
    const release = cancelOnAbort(call.signal, started);
  });
}

/** Starts a method that answers with a stream. */
export function serverStream<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
  request: Request,
  call: Call,
): Incoming<Response> {
  const options = optionsOf(call);
  const started = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    call.metadata,
    options,
  );
  return new Incoming(started, call.signal);
}

/** Starts a method with a stream either way. */
export function bidiStream<Request, Response>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
  call: Call,
): ClientDuplexStream<Request, Response> {
  const options = optionsOf(call);
  return client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    call.metadata,
    options,
  );
}

/** The messages of a stream, read one by one. */
export class Incoming<Message> {
  /** How the call ended; undefined while it has not. */
  ended: StatusObject | undefined;
  readonly #changes = new Changes();

  constructor(
    private readonly stream: ClientReadableStream<Message> | ClientDuplexStream<never, Message>,
    signal: AbortSignal | undefined,
  ) {
    const release = cancelOnAbort(signal, stream);
    stream.on("readable", () => this.#changes.tell());
    stream.on("error", () => undefined); // `status` tells it too, once
    stream.on("status", (ended: StatusObject) => {
      this.ended = ended;
      release();
      this.#changes.tell();
    });
  }

  /** The next message, or how the call ended when all were read. */
  async next(): Promise<{ message: Message } | { ended: StatusObject }> {
    for (;;) {
      const message = this.stream.read() as Message | null;
      if (message !== null) return { message };
      if (this.ended !== undefined) return { ended: this.ended };
      await this.#changes.next();
    }
  }

  /** Ends the call, if it has not. */
  cancel(): void {
    this.stream.cancel();
  }
}

/** Lets any number of waiters know that something has changed. */
export class Changes {
  #waiting: (() => void)[] = [];

  /** Wakes all who wait. */
  tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Resolves at the next change. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Whether a call ended well. */
export function isOk(ended: StatusObject): boolean {
  return ended.code === status.OK;
}

/** An iterator of what is read until undefined; leaving a `for await` over it calls `leave`. */
export function iteratorOf<T>(
  read: () => Promise<T | undefined>,
  leave: () => void,
): AsyncIterableIterator<T, undefined> {
  return {
    async next() {
      const value = await read();
      return value === undefined ? { done: true, value: undefined } : { done: false, value };
    },
    return() {
      leave();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function optionsOf({ deadline }: Call): GrpcOptions {
  return deadline === undefined ? {} : { deadline };
}

/** Returns how to let go of the signal, which may live far longer than the call. */
function cancelOnAbort(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = (): void => call.cancel();
  if (signal.aborted) cancel();
  else signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}
