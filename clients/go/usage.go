package turnout

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Usage yields the rows of the tenant's usage, over all pages. An error ends it.
func (c *Client) Usage(
	ctx context.Context, request *turnoutv1.QueryUsageRequest, opts ...CallOption,
) iter.Seq2[*turnoutv1.UsageRow, error] {
	return pages(ctx, c, opts, func(
		ctx context.Context, token string, opts ...grpc.CallOption,
	) ([]*turnoutv1.UsageRow, string, error) {
		asked := proto.CloneOf(request)
		asked.PageToken = token
		page, err := c.usage.QueryUsage(ctx, asked, opts...)
		return page.GetRows(), page.GetNextPageToken(), err
	})
}

// Limits are the limits that apply to the caller and what is left of them.
func (c *Client) Limits(ctx context.Context, opts ...CallOption) ([]*turnoutv1.Limit, error) {
	call := begin(ctx, c.timeouts.Read, opts)
	defer call.cancel(nil)
	response, err := c.usage.GetLimits(call.ctx, &turnoutv1.GetLimitsRequest{}, call.grpc...)
	if err != nil {
		return nil, call.failed(err, false, nil)
	}
	return response.GetLimits(), nil
}
