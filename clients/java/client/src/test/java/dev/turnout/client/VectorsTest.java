package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import com.google.protobuf.ByteString;
import dev.turnout.v1.Embedding;
import dev.turnout.v1.EmbeddingEncoding;
import java.util.List;
import org.junit.jupiter.api.Test;

class VectorsTest {
  private static Embedding packed(int... bytes) {
    var data = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      data[i] = (byte) bytes[i];
    }
    return Embedding.newBuilder().setPacked(ByteString.copyFrom(data)).setScale(0.5f).build();
  }

  @Test
  void float32IsWhatIsSent() {
    var embedding = Embedding.newBuilder().addAllValues(List.of(1.5f, -2f)).build();
    var unspecified = EmbeddingEncoding.EMBEDDING_ENCODING_UNSPECIFIED;
    assertArrayEquals(new float[] {1.5f, -2f}, Vectors.of(embedding, unspecified, 2));
  }

  @Test
  void float16IsLittleEndianWithSubnormalsAndSigns() {
    // 1, -2, the least subnormal, the greatest number, infinity, -0
    var embedding =
        packed(0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b, 0x00, 0x7c, 0x00, 0x80);
    var want = new float[] {1f, -2f, 0x1p-24f, 65504f, Float.POSITIVE_INFINITY, -0f};
    var half = EmbeddingEncoding.EMBEDDING_ENCODING_FLOAT16;
    assertArrayEquals(want, Vectors.of(embedding, half, 6));
  }

  @Test
  void int8IsScaled() {
    var int8 = EmbeddingEncoding.EMBEDDING_ENCODING_INT8;
    assertArrayEquals(new float[] {63.5f, -64f}, Vectors.of(packed(0x7f, 0x80), int8, 2));
  }

  @Test
  void binaryIsSignsUpToTheDimensions() {
    var binary = EmbeddingEncoding.EMBEDDING_ENCODING_BINARY;
    var want = new float[] {1, -1, 1, -1, -1, -1, -1, 1, 1, -1};
    assertArrayEquals(want, Vectors.of(packed(0b1010_0001, 0b1000_0000), binary, 10));
  }
}
