package turnout_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"

	turnout "github.com/turnout-dev/turnout/clients/go"
	"github.com/turnout-dev/turnout/clients/go/turnoutotel"
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

var propagator = propagation.TraceContext{}

// TestSmokeCases runs the table that all clients share.
func TestSmokeCases(t *testing.T) {
	for _, c := range smokeCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			id := uuid.NewString()
			got := c.run(t, id)
			got.check(t, &c.Want, id)
			if c.Want.Server != nil {
				checkSeen(t, c.Want.Server, seenCalls(t, id))
			}
		})
	}
}

// outcome is what the client showed its caller.
type outcome struct {
	answer  *turnout.Answer
	vectors map[int][]float32
	failed  map[int]string
	names   []string
	left    bool // the caller left the loop, which Go does not tell as an error
	err     error
}

// run makes the case's call as its caller would.
func (c *smokeCase) run(t *testing.T, requestID string) *outcome {
	ctx, client := c.caller(t)
	opts := c.callOptions(requestID)
	got := &outcome{}
	switch c.Method {
	case "Chat":
		got.chat(ctx, client.Chat(ctx, c.chatRequest(t), opts...), c.Client.CancelAfterDeltas)
	case "CompleteChat":
		got.answer, got.err = client.Complete(ctx, c.chatRequest(t), opts...)
	case "Embed":
		request := &turnoutv1.EmbedRequest{}
		c.decode(t, request)
		request.Texts = slices.Collect(c.texts())
		got.embed(client.Embed(ctx, request, opts...))
	case "EmbedStream":
		options := &turnoutv1.EmbedOptions{}
		c.decode(t, options)
		got.embedAll(t, client.EmbedAll(ctx, options, c.texts(), opts...))
	case "WatchProviders":
		got.watch(client, ctx, c.Client.CancelAfterMessages, opts)
	default:
		got.list(t, c, client, ctx, opts)
	}
	return got
}

// caller is the context and the client that the case asks for.
func (c *smokeCase) caller(t *testing.T) (context.Context, *turnout.Client) {
	ctx := t.Context()
	opts := []turnout.Option{turnout.WithTenant(c.Metadata["x-tenant-id"])}
	if c.DeadlineMS > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.DeadlineMS)*time.Millisecond)
		t.Cleanup(cancel)
	}
	if c.APIKey != "" {
		opts = append(opts, turnout.WithAPIKey(c.APIKey))
	}
	if c.Traceparent != "" {
		ctx = propagator.Extract(ctx, propagation.MapCarrier{"traceparent": c.Traceparent})
		opts = append(opts, turnoutotel.WithTelemetry(otelgrpc.WithPropagators(propagator)))
	}
	return ctx, dial(t, opts...)
}

func (c *smokeCase) callOptions(requestID string) []turnout.CallOption {
	opts := []turnout.CallOption{turnout.RequestID(requestID)}
	if key := c.Metadata["idempotency-key"]; key != "" {
		opts = append(opts, turnout.IdempotencyKey(key))
	}
	if c.Metadata["x-priority"] == "batch" {
		opts = append(opts, turnout.BatchPriority())
	}
	return opts
}

func (o *outcome) chat(ctx context.Context, stream *turnout.ChatStream, closeAfter int) {
	if closeAfter > 0 {
		deltas := 0
		for _, err := range stream.Text() {
			if deltas++; deltas == closeAfter {
				stream.Close()
			}
			o.err = err
		}
	} else {
		o.answer, o.err = stream.Collect(ctx)
	}
	if failure := new(turnout.Error); errors.As(o.err, &failure) {
		o.answer = failure.Partial
	}
}

func (o *outcome) embed(embeddings *turnout.Embeddings, err error) {
	if o.err = err; err != nil {
		return
	}
	o.vectors = map[int][]float32{}
	for i, vector := range embeddings.Vectors {
		o.vectors[i] = vector
	}
}

func (o *outcome) embedAll(t *testing.T, stream *turnout.EmbedStream) {
	o.vectors, o.failed = map[int][]float32{}, map[int]string{}
	for done, err := range stream.Results() {
		var failure *turnout.Error
		switch {
		case err != nil:
			o.err = err
		case errors.As(done.Err, &failure):
			o.failed[done.Index] = string(failure.Reason)
		default:
			o.vectors[done.Index] = done.Vector
		}
	}
	if embedded := stream.Summary().GetEmbeddedItems(); embedded != uint64(len(o.vectors)) {
		t.Errorf("the summary tells of %d vectors, there were %d", embedded, len(o.vectors))
	}
}

func (o *outcome) watch(
	client *turnout.Client, ctx context.Context, leaveAfter int, opts []turnout.CallOption,
) {
	messages := 0
	for providers, err := range client.WatchProviders(ctx, opts...) {
		o.err = err
		for _, provider := range providers {
			o.names = append(o.names, provider.GetProvider())
		}
		if messages++; messages == leaveAfter {
			o.left = true
			return
		}
	}
}

// list notes the names of a method that gives some.
func (o *outcome) list(
	t *testing.T, c *smokeCase, client *turnout.Client, ctx context.Context,
	opts []turnout.CallOption,
) {
	add := func(err error, names ...string) {
		o.names, o.err = append(o.names, names...), err
	}
	switch c.Method {
	case "ListModels":
		for model, err := range client.Models(ctx, opts...) {
			add(err, model.GetName())
		}
	case "GetModel":
		request := &turnoutv1.GetModelRequest{}
		c.decode(t, request)
		model, err := client.Model(ctx, request.GetName(), opts...)
		add(err, model.GetName())
	case "ListProviders":
		for provider, err := range client.Providers(ctx, opts...) {
			add(err, provider.GetProvider())
		}
	case "QueryUsage":
		request := &turnoutv1.QueryUsageRequest{}
		c.decode(t, request)
		for row, err := range client.Usage(ctx, request, opts...) {
			add(err, row.GetDimensionValues()...)
		}
	case "GetLimits":
		limits, err := client.Limits(ctx, opts...)
		add(err)
		for _, limit := range limits {
			add(err, limit.GetId())
		}
	default:
		t.Fatalf("no such method: %s", c.Method)
	}
}
