package turnout

import (
	"encoding/binary"
	"math"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// vectorOf is the numbers of one embedding. When dimensions is 0, the length of a binary vector
// is a multiple of 8.
func vectorOf(
	embedding *turnoutv1.Embedding, encoding turnoutv1.EmbeddingEncoding, dimensions int,
) []float32 {
	packed := embedding.GetPacked()
	switch encoding {
	case turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_FLOAT16:
		return halves(packed)
	case turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_INT8:
		return scaled(packed, embedding.GetScale())
	case turnoutv1.EmbeddingEncoding_EMBEDDING_ENCODING_BINARY:
		return signs(packed, dimensions)
	default:
		return embedding.GetValues()
	}
}

func halves(packed []byte) []float32 {
	vector := make([]float32, len(packed)/2)
	for i := range vector {
		vector[i] = half(binary.LittleEndian.Uint16(packed[2*i:]))
	}
	return vector
}

func scaled(packed []byte, scale float32) []float32 {
	vector := make([]float32, len(packed))
	for i, number := range packed {
		vector[i] = float32(int8(number)) * scale
	}
	return vector
}

func signs(packed []byte, dimensions int) []float32 {
	length := 8 * len(packed)
	if dimensions > 0 {
		length = min(length, dimensions)
	}
	vector := make([]float32, length)
	for i := range vector {
		vector[i] = -1
		if packed[i/8]>>(7-i%8)&1 == 1 {
			vector[i] = 1
		}
	}
	return vector
}

// half is a number of IEEE half precision: 1 bit of sign, 5 of exponent, 10 of fraction.
func half(bits uint16) float32 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	var magnitude float64
	switch {
	case exponent == 0x1f && fraction != 0:
		magnitude = math.NaN()
	case exponent == 0x1f:
		magnitude = math.Inf(1)
	case exponent == 0:
		magnitude = math.Ldexp(fraction, -24)
	default:
		magnitude = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits>>15 == 1 {
		magnitude = -magnitude
	}
	return float32(magnitude)
}
