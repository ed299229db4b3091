package turnout

import (
	"math"
	"slices"
	"testing"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

func TestEveryEncodingGivesItsNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		embedding  *turnoutv1.Embedding
		encoding   turnoutv1.EmbeddingEncoding
		dimensions int
		want       []float32
	}{
		"float32": {
			embedding: &turnoutv1.Embedding{Values: []float32{1.5, -2}},
			want:      []float32{1.5, -2},
		},
		"float16": {
			embedding: &turnoutv1.Embedding{
				// 1, -2, the least above 0, the greatest
				Packed: []byte{0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b},
			},
			encoding: turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_FLOAT16,
			want:     []float32{1, -2, 0x1p-24, 65504},
		},
		"int8": {
			embedding: &turnoutv1.Embedding{Packed: []byte{0x7f, 0x80}, Scale: 0.5},
			encoding:  turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_INT8,
			want:      []float32{63.5, -64},
		},
		"binary": {
			embedding:  &turnoutv1.Embedding{Packed: []byte{0b10100000}},
			encoding:   turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_BINARY,
			dimensions: 3,
			want:       []float32{1, -1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := vectorOf(c.embedding, c.encoding, c.dimensions); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestHalfPrecisionHasInfinitiesAndNotANumber(t *testing.T) {
	if got := half(0xfc00); !math.IsInf(float64(got), -1) {
		t.Errorf("0xfc00 is %v", got)
	}
	if got := half(0x7e00); !math.IsNaN(float64(got)) {
		t.Errorf("0x7e00 is %v", got)
	}
}
