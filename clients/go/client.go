package turnout

import (
	"google.golang.org/grpc"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// A Client calls a gateway. It is safe for use by many goroutines; one a program is enough.
type Client struct {
	conn     *grpc.ClientConn
	timeouts Timeouts
	chat     turnoutv1.ChatServiceClient
	embed    turnoutv1.EmbedServiceClient
	models   turnoutv1.ModelServiceClient
	usage    turnoutv1.UsageServiceClient
}

// Dial makes a client of the gateway at target, such as "localhost:50051", "dns:///gateway:50051"
// or "unix:///run/turnout.sock". It connects when the first call is made.
//
// Without [WithTLS] or [WithMTLS] nothing is encrypted, the API key included. The caller closes
// the client.
func Dial(target string, opts ...Option) (*Client, error) {
	s := defaultSettings()
	for _, opt := range opts {
		if err := opt(&s); err != nil {
			return nil, err
		}
	}
	conn, err := grpc.NewClient(target, s.dialOptions()...)
	if err != nil {
		return nil, err
	}
	return &Client{
		conn:     conn,
		timeouts: s.timeouts,
		chat:     turnoutv1.NewChatServiceClient(conn),
		embed:    turnoutv1.NewEmbedServiceClient(conn),
		models:   turnoutv1.NewModelServiceClient(conn),
		usage:    turnoutv1.NewUsageServiceClient(conn),
	}, nil
}

// Close ends the connections and every call under way.
func (c *Client) Close() error { return c.conn.Close() }

// Conn is the connection, for stubs that the client does not wrap. Calls made over it carry the
// API key and the tenant, and nothing else of the client's.
func (c *Client) Conn() *grpc.ClientConn { return c.conn }
