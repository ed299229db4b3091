/** Turns of a conversation from what is at hand: text, bytes, object literals, the contract's own. */
import type { Tool } from "./gen/turnout/v1/chat_service.js";
import {
  Message,
  Part,
  Role,
  type DeepPartial,
  type Media,
  type ToolCall,
} from "./gen/turnout/v1/content.js";
import { valueOf, type Word } from "./words.js";

/** A piece of a turn. Bytes are an image or a PDF whose type their first bytes tell. */
export type Piece = string | Uint8Array | DeepPartial<Part>;

/** What is said in a turn. */
export type Content = Piece | readonly Piece[];

/** A turn: the contract's, or one like `{ role: "user", content: "…" }`. */
export type Turn =
  DeepPartial<Message> | { role: Word<typeof Role>; content: Content; name?: string };

/** A conversation, oldest first; a bare text is one turn of the user's. */
export type Prompt = string | Turn | readonly Turn[];

/** A tool: the contract's, or one whose `parameters` are a JSON Schema. */
export type ToolLike =
  DeepPartial<Tool> | { name: string; description?: string; parameters: object; strict?: boolean };

/** A turn of instructions. */
export function system(...pieces: Piece[]): Message {
  return turn(Role.SYSTEM, pieces);
}

/** A turn of the user's: text, images, documents. */
export function user(...pieces: Piece[]): Message {
  return turn(Role.USER, pieces);
}

/** A turn of the model's. `Answer.message()` gives one that was received. */
export function assistant(...pieces: Piece[]): Message {
  return turn(Role.ASSISTANT, pieces);
}

/** A turn with the result of a tool call, or of the call of this id. */
export function toolResult(
  call: ToolCall | string,
  content: Content,
  { isError = false }: { isError?: boolean } = {},
): Message {
  const toolCallId = typeof call === "string" ? call : call.id;
  const said =
    typeof content === "string" ? { text: content } : { parts: piecesOf(content).map(part) };
  const value = { toolCallId, isError, ...said };
  return Message.fromPartial({
    role: Role.TOOL,
    parts: [{ content: { $case: "toolResult", value } }],
  });
}

/** How {@link media} is sent. */
export interface MediaOptions {
  mimeType?: string;
  /** Name shown to the model. */
  filename?: string;
  /** Asks the provider to cache the prompt up to here. */
  cached?: boolean;
}

/**
 * An image, sound or document: its bytes, or an https address that the provider fetches.
 *
 * The type of bytes may be left out for PNG, JPEG, GIF, WebP and PDF.
 *
 * @throws TypeError when it cannot be told.
 */
export function media(source: Uint8Array | string, options: MediaOptions = {}): Part {
  const { filename = "", cached = false } = options;
  const isAddress = typeof source === "string";
  const value: DeepPartial<Media> = {
    source: isAddress ? { $case: "url", value: source } : { $case: "data", value: source },
    mimeType: options.mimeType ?? (isAddress ? "" : typeOf(source)),
    filename,
  };
  return Part.fromPartial({
    content: { $case: "media", value },
    ...(cached ? { cacheBreakpoint: {} } : {}),
  });
}

/** The turns that a prompt stands for. */
export function conversation(prompt: Prompt): Message[] {
  if (typeof prompt === "string") return [user(prompt)];
  return (Array.isArray(prompt) ? (prompt as readonly Turn[]) : [prompt as Turn]).map(message);
}

/** The contract's tool. */
export function tool(described: ToolLike): DeepPartial<Tool> {
  if (!("parameters" in described)) return described;
  const { parameters, ...rest } = described;
  return { ...rest, parametersJsonSchema: JSON.stringify(parameters) };
}

function message(given: Turn): Message {
  if (!("content" in given)) return Message.fromPartial(given);
  const made = turn(valueOf(Role, given.role), piecesOf(given.content));
  return { ...made, name: given.name ?? "" };
}

function turn(role: Role, pieces: readonly Piece[]): Message {
  const [first] = pieces;
  if (pieces.length === 1 && typeof first === "string") {
    return Message.fromPartial({ role, text: first });
  }
  return Message.fromPartial({ role, parts: pieces.map(part) });
}

function part(piece: Piece): DeepPartial<Part> {
  if (typeof piece === "string") return { content: { $case: "text", value: piece } };
  return piece instanceof Uint8Array ? media(piece) : piece;
}

function piecesOf(content: Content): readonly Piece[] {
  return Array.isArray(content) ? (content as readonly Piece[]) : [content as Piece];
}

/** First bytes of each type, one character a byte; a dot is any. */
const SIGNATURES: readonly (readonly [RegExp, string])[] = [
  [/^\x89PNG\r\n\x1a\n/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^GIF8/, "image/gif"],
  [/^RIFF....WEBP/s, "image/webp"],
  [/^%PDF-/, "application/pdf"],
];

function typeOf(data: Uint8Array): string {
  const head = String.fromCharCode(...data.subarray(0, 12));
  const found = SIGNATURES.find(([signature]) => signature.test(head));
  if (found === undefined) {
    throw new TypeError("the type of these bytes cannot be told: pass media(data, { mimeType })");
  }
  return found[1];
}
