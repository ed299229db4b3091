package turnout

import (
	"context"
	"iter"

	"google.golang.org/grpc"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

const (
	maxBatchTexts = 64
	// A message is sent when its texts reach this, so it passes it by one text at most.
	fullBatchBytes = 512 << 10
)

type embedCall = grpc.BidiStreamingClient[
	turnoutv1.EmbedStreamRequest, turnoutv1.EmbedStreamResponse,
]

// embedSender sends the texts of one EmbedStream. One goroutine reads them, another puts what is
// there into a message, so a slow source never holds back texts that it has given.
type embedSender struct {
	ctx    context.Context
	stream embedCall
	window chan struct{} // holds one for each text under way
	items  chan *turnoutv1.EmbedItem
}

// sendTexts begins to send. It ends by itself, or when ctx does.
func sendTexts(
	ctx context.Context, stream embedCall, window int,
	options *turnoutv1.EmbedOptions, texts iter.Seq[string],
) *embedSender {
	s := &embedSender{
		ctx:    ctx,
		stream: stream,
		window: make(chan struct{}, window),
		items:  make(chan *turnoutv1.EmbedItem, maxBatchTexts),
	}
	go s.read(texts)
	go s.send(options)
	return s
}

// release makes room for another text. More results than texts were sent make none.
func (s *embedSender) release() {
	select {
	case <-s.window:
	default:
	}
}

// read takes texts as far as the window has room.
func (s *embedSender) read(texts iter.Seq[string]) {
	defer close(s.items)
	var id uint64
	for text := range texts {
		select {
		case s.window <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		select {
		case s.items <- &turnoutv1.EmbedItem{Id: id, Text: text}:
		case <-s.ctx.Done():
			return
		}
		id++
	}
}

// send returns when all is sent or the stream has ended: Recv tells how.
func (s *embedSender) send(options *turnoutv1.EmbedOptions) {
	begin := &turnoutv1.EmbedStreamRequest_Options{Options: options}
	if s.stream.Send(&turnoutv1.EmbedStreamRequest{Payload: begin}) != nil {
		return
	}
	for first := range s.items {
		items := &turnoutv1.EmbedItems{Items: s.batch(first)}
		payload := &turnoutv1.EmbedStreamRequest_Items{Items: items}
		if s.stream.Send(&turnoutv1.EmbedStreamRequest{Payload: payload}) != nil {
			return
		}
	}
	_ = s.stream.CloseSend() // never fails: what ends the stream is told by Recv
}

// batch joins to first what has been read by now.
func (s *embedSender) batch(first *turnoutv1.EmbedItem) []*turnoutv1.EmbedItem {
	batch, sizeBytes := []*turnoutv1.EmbedItem{first}, len(first.GetText())
	for len(batch) < maxBatchTexts && sizeBytes < fullBatchBytes {
		select {
		case item, ok := <-s.items:
			if !ok {
				return batch
			}
			batch, sizeBytes = append(batch, item), sizeBytes+len(item.GetText())
		default:
			return batch
		}
	}
	return batch
}
