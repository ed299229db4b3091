package turnout_test

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// gateway is a server for what the scripted one has no case of: it answers with its events.
type gateway struct {
	turnoutv1.UnimplementedChatServiceServer
	events []*turnoutv1.ChatResponse
	health *health.Server
}

// answering is a gateway whose answer is one text.
func answering(text string) *gateway {
	return &gateway{health: health.NewServer(), events: []*turnoutv1.ChatResponse{
		{Event: &turnoutv1.ChatResponse_TextDelta{TextDelta: text}},
		{Event: &turnoutv1.ChatResponse_Finish{Finish: &turnoutv1.Finish{}}},
	}}
}

// Chat implements turnoutv1.ChatServiceServer.
func (g *gateway) Chat(
	_ *turnoutv1.ChatRequest, stream grpc.ServerStreamingServer[turnoutv1.ChatResponse],
) error {
	for _, event := range g.events {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	return nil
}

// serve listens on a free port until the test ends. It returns the address.
func (g *gateway) serve(t *testing.T, opts ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	turnoutv1.RegisterChatServiceServer(server, g)
	if g.health != nil {
		grpc_health_v1.RegisterHealthServer(server, g.health)
	}
	t.Cleanup(server.Stop)
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String()
}
