package turnout

import (
	"context"
	"iter"

	"google.golang.org/grpc"
)

// pages yields the items of all pages. A page is asked for when the ones before it were read, as a
// call of its own: fetch gives its items and the next page's token, "" after the last.
func pages[T any](
	ctx context.Context, c *Client, opts []CallOption,
	fetch func(ctx context.Context, token string, opts ...grpc.CallOption) ([]T, string, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token, more := "", true; more; more = token != "" {
			call := begin(ctx, c.timeouts.Read, opts)
			items, next, err := fetch(call.ctx, token, call.grpc...)
			if err != nil {
				err = call.failed(err, false, nil)
			}
			call.cancel(nil)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			token = next
		}
	}
}
