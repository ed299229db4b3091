package turnout_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

func TestCallsGoToAllAddressesInTurn(t *testing.T) {
	client := dialAll(t, []*gateway{answering("one"), answering("two")})
	seen := map[string]int{}
	// The first calls may all go to whichever address was connected first.
	for range 100 {
		seen[ask(t, client)]++
		if len(seen) == 2 {
			return
		}
	}
	t.Errorf("answers of %v alone", seen)
}

func TestHealthCheckLeavesOutWhoIsNotServing(t *testing.T) {
	well, ill := answering("well"), answering("ill")
	ill.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	client := dialAll(t, []*gateway{well, ill}, turnout.WithHealthCheck())
	for range 20 {
		if text := ask(t, client); text != "well" {
			t.Fatalf("%s answered", text)
		}
	}
}

func TestAServiceConfigOfTheCallersReplacesTheDefault(t *testing.T) {
	ill := answering("ill")
	ill.health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	client := dialTo(t, ill.serve(t), turnout.WithServiceConfig(
		`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}`))
	_, err := client.Chat(t.Context(), turnout.Ask("chat", "Hi.")).Collect(t.Context())
	if status.Code(err) != codes.Unavailable {
		t.Errorf("not refused: %v", err)
	}
	if _, err := turnout.Dial("localhost:50051", turnout.WithServiceConfig("{")); err == nil {
		t.Error("a broken service config was taken")
	}
}

// dialAll is a client that finds all of the gateways behind one name.
func dialAll(t *testing.T, gateways []*gateway, opts ...turnout.Option) *turnout.Client {
	t.Helper()
	var addresses []resolver.Address
	for _, gateway := range gateways {
		addresses = append(addresses, resolver.Address{Addr: gateway.serve(t)})
	}
	names := manual.NewBuilderWithScheme("test")
	names.InitialState(resolver.State{Addresses: addresses})
	opts = append(opts, turnout.WithDialOptions(grpc.WithResolvers(names)))
	return dialTo(t, "test:///gateways", opts...)
}

func ask(t *testing.T, client *turnout.Client) string {
	t.Helper()
	answer, err := client.Chat(t.Context(), turnout.Ask("chat", "Who?")).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return answer.Text
}
