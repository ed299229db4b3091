import {
  FinishReason,
  type ChatResponse,
  type CompleteChatResponse,
  type Finish,
  type Warning,
} from "./gen/turnout/v1/chat_service.js";
import { Message, Role, type Part, type ToolCall } from "./gen/turnout/v1/content.js";
import type { Route } from "./gen/turnout/v1/routing.js";
import type { Usage } from "./gen/turnout/v1/usage.js";

/** Name of a {@link FinishReason}, such as `MAX_TOKENS`. */
export type FinishReasonName = Exclude<keyof typeof FinishReason, "UNSPECIFIED">;

/** An answer, or as much of it as there is: `finish` is undefined until it has ended. */
export class Answer {
  constructor(
    readonly text: string,
    readonly thinking: string,
    readonly toolCalls: readonly ToolCall[],
    readonly finish: Finish | undefined,
    /** How often the gateway started over; what was voided is gone. */
    readonly generation: number,
  ) {}

  /** Why the answer ended; undefined when it has not, the bare number for a newer reason. */
  get finishReason(): FinishReasonName | `${number}` | undefined {
    if (this.finish === undefined) return undefined;
    const name = FinishReason[this.finish.reason] as FinishReasonName | undefined;
    return name ?? `${this.finish.reason}`;
  }

  /** Tokens and cost, as bigint; undefined when the answer has not ended. */
  get usage(): Usage | undefined {
    return this.finish?.usage;
  }

  /** Who answered; undefined when the answer has not ended. */
  get route(): Route | undefined {
    return this.finish?.route;
  }

  /** What was changed in the request to suit the target. */
  get warnings(): readonly Warning[] {
    return this.finish?.warnings ?? [];
  }

  /**
   * The answer as the assistant's turn, to be sent back with what comes next.
   *
   * With thinking or signatures only `stream: { finalMessage: true }` gives a turn that providers
   * accept.
   */
  message(): Message {
    if (this.finish?.message !== undefined) return this.finish.message;
    const contents: Part["content"][] = this.toolCalls.map((value) => ({
      $case: "toolCall",
      value,
    }));
    if (this.text !== "") contents.unshift({ $case: "text", value: this.text });
    return Message.fromPartial({
      role: Role.ASSISTANT,
      parts: contents.map((content) => ({ content })),
    });
  }
}

/** The unary answer. */
export function answerOf(response: CompleteChatResponse): Answer {
  const parts = response.finish?.message?.parts ?? [];
  const thinking = parts.map(({ content }) =>
    content?.$case === "thinking" ? content.value.text : "",
  );
  return new Answer(response.text, thinking.join(""), response.toolCalls, response.finish, 0);
}

/** Adds up the events of one stream. No I/O. */
export class Assembly {
  /** Whether there was output, voided or not. */
  started = false;
  finish: Finish | undefined;
  #generation = 0;
  #text = "";
  #thinking = "";
  #tools = new Map<string, ToolCall>();
  #open = new Map<number, string>();

  /** Adds an event. Returns what it voids, when it begins a new generation. */
  feed(event: ChatResponse): Answer | undefined {
    const voided = event.generation > this.#generation ? this.answer() : undefined;
    if (voided !== undefined) this.#clear(event.generation);
    switch (event.event?.$case) {
      case "textDelta":
        this.started = true;
        this.#text += event.event.value;
        break;
      case "thinkingDelta":
        this.started = true;
        this.#thinking += event.event.value;
        break;
      case "toolCallDelta":
        this.started = true;
        this.#piece(event.partIndex, event.event.value);
        break;
      case "toolCall":
        this.started = true;
        this.#tools.set(event.event.value.id || `${event.partIndex}`, event.event.value);
        break;
      case "finish":
        this.finish = event.event.value;
        break;
    }
    return voided;
  }

  /** All that is known by now. An unfinished tool call's JSON is cut where it stands. */
  answer(): Answer {
    const tools = [...this.#tools.values()];
    return new Answer(this.#text, this.#thinking, tools, this.finish, this.#generation);
  }

  /** Pieces of parallel calls interleave; only a call's first piece has its id. */
  #piece(partIndex: number, piece: { id: string; name: string; argumentsJsonDelta: string }): void {
    let key = this.#open.get(partIndex);
    if (piece.id !== "" || key === undefined) {
      key = piece.id || `${partIndex}`;
      this.#open.set(partIndex, key);
    }
    const { id, name, argumentsJson } = this.#tools.get(key) ?? { ...piece, argumentsJson: "" };
    // A new object each time: answers that were given out keep theirs.
    const grown = {
      id,
      name: name || piece.name,
      argumentsJson: argumentsJson + piece.argumentsJsonDelta,
    };
    this.#tools.set(key, grown);
  }

  #clear(generation: number): void {
    this.#generation = generation;
    this.finish = undefined;
    this.#text = this.#thinking = "";
    this.#tools.clear();
    this.#open.clear();
  }
}
