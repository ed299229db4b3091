import type { Embedding, EmbedResponse } from "./gen/turnout/v1/embed_service.js";
import type { Route } from "./gen/turnout/v1/routing.js";
import type { Usage } from "./gen/turnout/v1/usage.js";
import { EmbeddingEncoding } from "./gen/turnout/v1/embed_service.js";

/** The vectors of a batch and what they took. */
export interface Embeddings {
  /** In the order of the texts. */
  readonly vectors: readonly Float32Array[];
  readonly dimensions: number;
  readonly usage: Usage | undefined;
  readonly route: Route | undefined;
  /** Calls made to providers. */
  readonly upstreamCalls: number;
  /** Texts answered from the cache. */
  readonly cacheHits: number;
}

/** The batch's vectors. */
export function embeddingsOf(response: EmbedResponse, encoding: EmbeddingEncoding): Embeddings {
  const { embeddings, dimensions, usage, route, upstreamCalls, cacheHits } = response;
  const vectors = embeddings.map((embedding) => vectorOf(embedding, encoding, dimensions));
  return { vectors, dimensions, usage, route, upstreamCalls, cacheHits };
}

/**
 * The numbers of one embedding; BINARY gives 1 and -1.
 *
 * Without `dimensions` a binary vector's length is a multiple of 8.
 */
export function vectorOf(
  { values, packed, scale }: Embedding,
  encoding: EmbeddingEncoding,
  dimensions: number,
): Float32Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  switch (encoding) {
    case EmbeddingEncoding.FLOAT16:
      return filled(packed.length >> 1, (index) => halfPrecision(view.getUint16(index * 2, true)));
    case EmbeddingEncoding.INT8:
      return filled(packed.length, (index) => view.getInt8(index) * scale);
    case EmbeddingEncoding.BINARY:
      return filled(dimensions || packed.length * 8, (index) =>
        (view.getUint8(index >> 3) >> (7 - (index & 7))) & 1 ? 1 : -1,
      );
    default:
      return Float32Array.from(values);
  }
}

function filled(length: number, numberAt: (index: number) => number): Float32Array {
  const vector = new Float32Array(length);
  for (let index = 0; index < length; index++) vector[index] = numberAt(index);
  return vector;
}

/** The number that 16 bits of IEEE 754 binary16 stand for. */
function halfPrecision(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
