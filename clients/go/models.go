package turnout

import (
	"context"
	"io"
	"iter"

	"google.golang.org/grpc"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Models yields the models that the caller may use. An error ends it.
func (c *Client) Models(ctx context.Context, opts ...CallOption) iter.Seq2[*turnoutv1.Model, error] {
	return pages(ctx, c, opts, func(
		ctx context.Context, token string, opts ...grpc.CallOption,
	) ([]*turnoutv1.Model, string, error) {
		page, err := c.models.ListModels(ctx, &turnoutv1.ListModelsRequest{PageToken: token}, opts...)
		return page.GetModels(), page.GetNextPageToken(), err
	})
}

// Model gets one model by its name.
func (c *Client) Model(
	ctx context.Context, name string, opts ...CallOption,
) (*turnoutv1.Model, error) {
	call := begin(ctx, c.timeouts.Read, opts)
	defer call.cancel(nil)
	response, err := c.models.GetModel(
		call.ctx, &turnoutv1.GetModelRequest{Name: name}, call.grpc...)
	if err != nil {
		return nil, call.failed(err, false, nil)
	}
	return response.GetModel(), nil
}

// Providers yields the providers and their state at the instance that answers. An error ends it.
func (c *Client) Providers(
	ctx context.Context, opts ...CallOption,
) iter.Seq2[*turnoutv1.ProviderStatus, error] {
	return pages(ctx, c, opts, func(
		ctx context.Context, token string, opts ...grpc.CallOption,
	) ([]*turnoutv1.ProviderStatus, string, error) {
		request := &turnoutv1.ListProvidersRequest{PageToken: token}
		page, err := c.models.ListProviders(ctx, request, opts...)
		return page.GetProviders(), page.GetNextPageToken(), err
	})
}

// WatchProviders yields all providers first, then those whose state changed, until ctx ends, the
// loop is left or an error comes. It has no deadline of its own.
func (c *Client) WatchProviders(
	ctx context.Context, opts ...CallOption,
) iter.Seq2[[]*turnoutv1.ProviderStatus, error] {
	return func(yield func([]*turnoutv1.ProviderStatus, error) bool) {
		call := begin(ctx, 0, opts)
		defer call.cancel(nil)
		stream, err := c.models.WatchProviders(
			call.ctx, &turnoutv1.WatchProvidersRequest{}, call.grpc...)
		for err == nil {
			var update *turnoutv1.WatchProvidersResponse
			if update, err = stream.Recv(); err == nil && !yield(update.GetProviders(), nil) {
				return
			}
		}
		if err != io.EOF {
			yield(nil, call.failed(err, false, nil))
		}
	}
}
