// Package turnoutotel adds OpenTelemetry to package turnout: spans and metrics of each call, and
// the caller's trace sent with it. Who does not import it compiles none of OpenTelemetry.
package turnoutotel

import (
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

// WithTelemetry observes every call and sends its trace context.
//
// Tracer, meter and propagator are OpenTelemetry's global ones, at the time of [turnout.Dial],
// unless options name others. The global propagator sends nothing until the program sets one
// ([otel.SetTextMapPropagator]).
//
// [otel.SetTextMapPropagator]: https://pkg.go.dev/go.opentelemetry.io/otel#SetTextMapPropagator
func WithTelemetry(opts ...otelgrpc.Option) turnout.Option {
	return turnout.WithDialOptions(grpc.WithStatsHandler(otelgrpc.NewClientHandler(opts...)))
}
