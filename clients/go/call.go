package turnout

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// A CallOption changes one call. Further metadata goes into the call's context, as gRPC does it:
// [metadata.AppendToOutgoingContext].
type CallOption func(*callSettings)

type callSettings struct {
	headers []string // key, value, key, value …
	id      string
	window  int
	grpc    []grpc.CallOption
}

// RequestID sets the call's `x-request-id`, by which logs of caller and gateway are joined. A
// UUIDv7 is made when it is absent. All tries of a call share it.
func RequestID(id string) CallOption {
	return func(s *callSettings) { s.id = id }
}

// IdempotencyKey makes the gateway refuse a second call of the same key while the first is under
// way, with [ReasonDuplicateRequest].
func IdempotencyKey(key string) CallOption {
	return func(s *callSettings) { s.headers = append(s.headers, "idempotency-key", key) }
}

// BatchPriority lets interactive calls go first.
func BatchPriority() CallOption {
	return func(s *callSettings) { s.headers = append(s.headers, "x-priority", "batch") }
}

// Window bounds how many texts of [Client.EmbedAll] are under way at once: 1024 by default.
func Window(texts int) CallOption {
	return func(s *callSettings) { s.window = max(1, texts) }
}

// GRPC adds options of gRPC itself, such as [grpc.Header] to read the response's headers.
func GRPC(opts ...grpc.CallOption) CallOption {
	return func(s *callSettings) { s.grpc = append(s.grpc, opts...) }
}

// call is one call about to be made, and the reason why it was cancelled.
type call struct {
	ctx       context.Context
	cancel    context.CancelCauseFunc
	requestID string
	window    int
	grpc      []grpc.CallOption
}

// begin gives the call its id, metadata and, when ctx has none, a deadline; no deadline for a
// timeout of 0. The caller cancels it when it is over.
func begin(ctx context.Context, timeout time.Duration, opts []CallOption) *call {
	s := callSettings{window: defaultWindow}
	for _, opt := range opts {
		opt(&s)
	}
	if s.id == "" {
		s.id, ctx = requestIDOf(ctx)
	} else {
		ctx = withHeader(ctx, "x-request-id", s.id)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, s.headers...)
	release := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok && timeout > 0 {
		ctx, release = context.WithTimeout(ctx, timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	return &call{
		ctx: ctx,
		cancel: func(cause error) {
			cancel(cause)
			release()
		},
		requestID: s.id,
		window:    s.window,
		grpc:      s.grpc,
	}
}

// requestIDOf is the id that the caller put into the context, or a new one.
func requestIDOf(ctx context.Context) (string, context.Context) {
	headers, _ := metadata.FromOutgoingContext(ctx)
	if given := headers.Get("x-request-id"); len(given) > 0 {
		return given[0], ctx
	}
	id := uuid.Must(uuid.NewV7()).String()
	return id, metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
}

// withHeader sets a header in place of one that the context may hold already.
func withHeader(ctx context.Context, key, value string) context.Context {
	headers, _ := metadata.FromOutgoingContext(ctx) // a copy
	if headers == nil {
		headers = metadata.MD{}
	}
	headers.Set(key, value)
	return metadata.NewOutgoingContext(ctx, headers)
}
