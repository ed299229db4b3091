package turnout

import (
	"context"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Embeddings are the vectors of a batch and what they took.
type Embeddings struct {
	// Vectors are in the order of the texts.
	Vectors       [][]float32
	Dimensions    int
	Usage         *turnoutv1.Usage
	Route         *turnoutv1.Route
	UpstreamCalls int
	CacheHits     int
}

// Embed turns a batch of texts into vectors: all of them, or none. Whatever the encoding they are
// sent in, vectors are float32; those of a binary encoding hold 1 and -1.
//
// The call ends with ctx, or after 60 s when ctx has no deadline. Above 2048 texts, or 3.5 MiB of
// vectors, use [Client.EmbedAll].
func (c *Client) Embed(
	ctx context.Context, request *turnoutv1.EmbedRequest, opts ...CallOption,
) (*Embeddings, error) {
	call := begin(ctx, c.timeouts.Embed, opts)
	defer call.cancel(nil)
	response, err := c.embed.Embed(call.ctx, request, call.grpc...)
	if err != nil {
		return nil, call.failed(err, false, nil)
	}
	dimensions := int(response.GetDimensions())
	vectors := make([][]float32, len(response.GetEmbeddings()))
	for i, embedding := range response.GetEmbeddings() {
		vectors[i] = vectorOf(embedding, request.GetEncoding(), dimensions)
	}
	return &Embeddings{
		Vectors:       vectors,
		Dimensions:    dimensions,
		Usage:         response.GetUsage(),
		Route:         response.GetRoute(),
		UpstreamCalls: int(response.GetUpstreamCalls()),
		CacheHits:     int(response.GetCacheHits()),
	}, nil
}
