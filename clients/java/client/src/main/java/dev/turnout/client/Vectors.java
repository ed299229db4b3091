package dev.turnout.client;

import dev.turnout.v1.Embedding;
import dev.turnout.v1.EmbeddingEncoding;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Numbers out of the contract's encodings. */
public final class Vectors {
  private Vectors() {}

  /**
   * The numbers of one embedding.
   *
   * @param embedding as the gateway sends it
   * @param encoding what the request asked for; UNSPECIFIED is FLOAT32
   * @param dimensions length of a BINARY vector, which else is a multiple of 8; 0 if unknown
   * @return its numbers; BINARY gives 1 and -1
   */
  public static float[] of(Embedding embedding, EmbeddingEncoding encoding, int dimensions) {
    ByteBuffer packed =
        embedding.getPacked().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    return switch (encoding) {
      case EMBEDDING_ENCODING_FLOAT16 -> fromFloat16(packed);
      case EMBEDDING_ENCODING_INT8 -> fromInt8(packed, embedding.getScale());
      case EMBEDDING_ENCODING_BINARY -> fromBits(packed, dimensions);
      default -> fromFloat32(embedding);
    };
  }

  private static float[] fromFloat32(Embedding embedding) {
    var numbers = new float[embedding.getValuesCount()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = embedding.getValues(i);
    }
    return numbers;
  }

  private static float[] fromInt8(ByteBuffer packed, float scale) {
    var numbers = new float[packed.remaining()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = packed.get() * scale;
    }
    return numbers;
  }

  private static float[] fromBits(ByteBuffer packed, int dimensions) {
    int count = packed.remaining() * 8;
    var numbers = new float[dimensions == 0 ? count : Math.min(count, dimensions)];
    for (int i = 0; i < numbers.length; i++) {
      boolean isSet = (packed.get(i / 8) >> (7 - i % 8) & 1) == 1;
      numbers[i] = isSet ? 1f : -1f;
    }
    return numbers;
  }

  private static float[] fromFloat16(ByteBuffer packed) {
    var numbers = new float[packed.remaining() / 2];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = float16(packed.getShort());
    }
    return numbers;
  }

  /** IEEE 754 binary16; Float.float16ToFloat came with Java 20. */
  private static float float16(short bits) {
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    float size =
        switch (exponent) {
          case 0 -> fraction * 0x1p-24f;
          case 31 -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
          default -> Float.intBitsToFloat(exponent + 127 - 15 << 23 | fraction << 13);
        };
    return bits < 0 ? -size : size;
  }
}
