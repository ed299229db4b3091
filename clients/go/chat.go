package turnout

import (
	"context"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Chat begins an answer. What goes wrong, at once or later, is told to who reads the stream.
//
// The call ends with ctx, or after 600 s when ctx has no deadline. Read the stream to its end,
// leave the loop over it, or close it: a stream that is left alone is held until then.
func (c *Client) Chat(
	ctx context.Context, request *turnoutv1.ChatRequest, opts ...CallOption,
) *ChatStream {
	call := begin(ctx, c.timeouts.Chat, opts)
	stream := &ChatStream{call: call}
	responses, err := c.chat.Chat(call.ctx, request, call.grpc...)
	if err != nil {
		stream.end(err)
	}
	stream.responses = responses
	return stream
}

// Complete asks for the whole answer in one message. Deadlines are those of [Client.Chat].
func (c *Client) Complete(
	ctx context.Context, request *turnoutv1.ChatRequest, opts ...CallOption,
) (*Answer, error) {
	call := begin(ctx, c.timeouts.Chat, opts)
	defer call.cancel(nil)
	response, err := c.chat.CompleteChat(call.ctx, request, call.grpc...)
	if err != nil {
		return nil, call.failed(err, false, nil)
	}
	return completed(response), nil
}
