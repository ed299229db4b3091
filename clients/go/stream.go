package turnout

import (
	"context"
	"io"
	"iter"

	"google.golang.org/grpc"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// A ChatStream is an answer under way, for one goroutine to read. Leaving a loop over it ends the
// call, and the provider's work with it.
type ChatStream struct {
	call      *call
	responses grpc.ServerStreamingClient[turnoutv1.ChatResponse]
	assembly  assembly
	err       error // io.EOF once the answer is whole
}

// Text yields the answer's text as it comes.
//
// An error ends it, save [ErrRestarted], which comes only where the request or the gateway's
// configuration allows restarts: then text yielded before is void, and the new answer follows.
func (s *ChatStream) Text() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		generation, shown := s.assembly.generation, false
		for event, err := range s.Events() {
			if err != nil {
				yield("", err)
				return
			}
			if event.GetGeneration() > generation {
				generation = event.GetGeneration()
				if shown && !yield("", ErrRestarted) {
					return
				}
				shown = false
			}
			if text := event.GetTextDelta(); text != "" {
				shown = true
				if !yield(text, nil) {
					return
				}
			}
		}
	}
}

// Events yields every event as it comes, whatever its generation, the finish last. An error ends
// it.
func (s *ChatStream) Events() iter.Seq2[*turnoutv1.ChatResponse, error] {
	return func(yield func(*turnoutv1.ChatResponse, error) bool) {
		defer s.Close()
		for {
			event, err := s.next()
			if err == io.EOF {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Collect reads to the end. After restarts the answer is the last one. The call ends early when
// ctx does.
func (s *ChatStream) Collect(ctx context.Context) (*Answer, error) {
	stop := context.AfterFunc(ctx, func() { s.call.cancel(ctx.Err()) })
	defer stop()
	for _, err := range s.Events() {
		if err != nil {
			return nil, err
		}
	}
	return s.Answer(), nil
}

// Answer is what has been read so far.
func (s *ChatStream) Answer() *Answer { return s.assembly.answer() }

// RequestID is the call's `x-request-id`.
func (s *ChatStream) RequestID() string { return s.call.requestID }

// Close ends the call. Any goroutine may do so, any number of times; who reads is then told of a
// cancel, unless the answer was whole.
func (s *ChatStream) Close() { s.call.cancel(context.Canceled) }

func (s *ChatStream) next() (*turnoutv1.ChatResponse, error) {
	if s.err != nil {
		return nil, s.err
	}
	event, err := s.responses.Recv()
	if err != nil {
		return nil, s.end(err)
	}
	s.assembly.add(event)
	return event, nil
}

// end notes how the call ended and frees what it held.
func (s *ChatStream) end(err error) error {
	started := s.assembly.outputStarted
	switch {
	case err != io.EOF:
		s.err = s.call.failed(err, started, s.Answer())
	case s.assembly.finish == nil:
		s.err = s.call.unfinished(started, s.Answer())
	default:
		s.err = io.EOF
	}
	s.call.cancel(nil)
	return s.err
}
