import { expect, test } from "vitest";
import { Embedding, EmbeddingEncoding } from "../src/gen/turnout/v1/embed_service.js";
import { vectorOf } from "../src/vectors.js";

function vector(sent: Partial<Embedding>, encoding: EmbeddingEncoding, dimensions = 0): number[] {
  // Over the wire and back: packed bytes then lie within a larger buffer.
  const bytes = Embedding.encode(Embedding.fromPartial(sent)).finish();
  return [...vectorOf(Embedding.decode(bytes), encoding, dimensions)];
}

test("single precision comes as it was sent", () => {
  expect(vector({ values: [0.5, -1, 3e38] }, EmbeddingEncoding.FLOAT32)).toEqual([
    0.5,
    -1,
    Math.fround(3e38),
  ]);
});

test("half precision comes as it was sent, small, large and infinite", () => {
  const halves = new Uint16Array([0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0xfc00, 0x8000, 0x7e00]);
  const packed = new Uint8Array(halves.buffer);
  const numbers = vector({ packed }, EmbeddingEncoding.FLOAT16);
  expect(numbers).toEqual([
    1,
    -2,
    Math.fround(0.333251953125),
    2 ** -24,
    65504,
    -Infinity,
    -0,
    NaN,
  ]);
});

test("signed bytes are scaled", () => {
  const packed = new Uint8Array([1, 0xff, 0x80]);
  expect(vector({ packed, scale: 0.5 }, EmbeddingEncoding.INT8)).toEqual([0.5, -0.5, -64]);
});

test("bits are signs, the highest first, as many as there are dimensions", () => {
  const packed = new Uint8Array([0b10100000, 0b01000000]);
  const { BINARY } = EmbeddingEncoding;
  expect(vector({ packed }, BINARY, 10)).toEqual([1, -1, 1, -1, -1, -1, -1, -1, -1, 1]);
  expect(vector({ packed }, BINARY)).toHaveLength(16);
});
