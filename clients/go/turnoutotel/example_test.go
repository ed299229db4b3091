package turnoutotel_test

import (
	"log"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"

	turnout "github.com/turnout-dev/turnout/clients/go"
	"github.com/turnout-dev/turnout/clients/go/turnoutotel"
)

// The program's own propagator instead of the global one.
func ExampleWithTelemetry() {
	client, err := turnout.Dial("localhost:50051", turnoutotel.WithTelemetry(
		otelgrpc.WithPropagators(propagation.TraceContext{}),
	))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Output:
}
