package turnout

import (
	"context"
	"io"
	"iter"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

const defaultWindow = 1024

// Embedded is what became of one text.
type Embedded struct {
	Index  int       // the text's place among those given, from 0
	Vector []float32 // nil when it failed
	Err    error     // an [*Error] when this text alone failed
}

// An EmbedStream embeds texts as they come. It is read once, by one goroutine.
type EmbedStream struct {
	client  *Client
	ctx     context.Context
	options *turnoutv1.EmbedOptions
	texts   iter.Seq[string]
	opts    []CallOption
	end     *turnoutv1.EmbedStreamEnd
}

// EmbedAll embeds any number of texts, each of which succeeds or fails on its own. At most
// [Window] of them are under way at once, so neither texts nor vectors pile up.
//
// The call begins when its results are read, and ends with ctx, or after an hour when ctx has no
// deadline. texts is read by another goroutine, which stops at the first text after the call has
// ended.
func (c *Client) EmbedAll(
	ctx context.Context, options *turnoutv1.EmbedOptions, texts iter.Seq[string],
	opts ...CallOption,
) *EmbedStream {
	return &EmbedStream{client: c, ctx: ctx, options: options, texts: texts, opts: opts}
}

// Results yields what became of the texts, in the order the gateway has it done. An error ends it
// and concerns the whole call; leaving the loop cancels the rest.
func (s *EmbedStream) Results() iter.Seq2[Embedded, error] {
	return func(yield func(Embedded, error) bool) {
		call := begin(s.ctx, s.client.timeouts.EmbedAll, s.opts)
		defer call.cancel(context.Canceled)
		stream, err := s.client.embed.EmbedStream(call.ctx, call.grpc...)
		if err != nil {
			yield(Embedded{}, call.failed(err, false, nil))
			return
		}
		sender := sendTexts(call.ctx, stream, call.window, s.options, s.texts)
		if err := s.read(call, stream, sender, yield); err != nil {
			yield(Embedded{}, err)
		}
	}
}

// Summary is what the call took, once all results were read; nil before.
func (s *EmbedStream) Summary() *turnoutv1.EmbedStreamEnd { return s.end }

// read yields results until the call ends or yield refuses. It returns why the call failed.
func (s *EmbedStream) read(
	call *call, stream embedCall, sender *embedSender, yield func(Embedded, error) bool,
) error {
	started := false
	for {
		response, err := stream.Recv()
		switch {
		case err == io.EOF && s.end == nil:
			return call.unfinished(started, nil)
		case err == io.EOF:
			return nil
		case err != nil:
			return call.failed(err, started, nil)
		}
		if end := response.GetEnd(); end != nil {
			s.end = end
		}
		for _, result := range response.GetResults().GetResults() {
			started = true
			sender.release()
			if !yield(s.embedded(call, result), nil) {
				return nil
			}
		}
	}
}

func (s *EmbedStream) embedded(call *call, result *turnoutv1.EmbedItemResult) Embedded {
	done := Embedded{Index: int(result.GetId())}
	if failure := result.GetError(); failure != nil {
		done.Err = call.itemFailed(failure)
		return done
	}
	done.Vector = vectorOf(
		result.GetEmbedding(), s.options.GetEncoding(), int(s.options.GetDimensions()))
	return done
}
