package turnout

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	_ "google.golang.org/grpc/health" // lets WithHealthCheck's service config take effect
)

const (
	maxReceiveBytes = 32 << 20
	// A request beyond this is not kept for another attempt; the library's 256 KiB would leave out
	// every prompt with an image.
	maxRetryBytes = 4 << 20
)

// Timeouts are the deadlines of calls whose context has none. Zero keeps the default; who wants
// more gives the context a deadline.
type Timeouts struct {
	Chat     time.Duration // Chat and Complete: 600 s
	Embed    time.Duration // Embed: 60 s
	EmbedAll time.Duration // EmbedAll, all of it: 1 h
	Read     time.Duration // models, providers, usage, limits, each page: 10 s
}

// An Option changes what [Dial] makes.
type Option func(*settings) error

type settings struct {
	transport     credentials.TransportCredentials
	identity      identity
	serviceConfig string
	maxAttempts   int
	healthCheck   bool
	keepalive     keepalive.ClientParameters
	timeouts      Timeouts
	grpc          []grpc.DialOption
}

func defaultSettings() settings {
	return settings{
		transport:   insecure.NewCredentials(),
		maxAttempts: 4,
		// Models are silent for long: find a dead connection all the same. The gateway, and most
		// proxies before it, permit a ping every 10 s.
		keepalive: keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second},
		timeouts: Timeouts{
			Chat:     600 * time.Second,
			Embed:    60 * time.Second,
			EmbedAll: time.Hour,
			Read:     10 * time.Second,
		},
	}
}

// WithTLS encrypts. A nil config trusts the system's roots.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		s.transport = credentials.NewTLS(config)
		return nil
	}
}

// WithMTLS encrypts and shows the certificate of certFile to the gateway; all files are PEM. The
// gateway's own is checked against caFile, or the system's roots when that is empty.
//
// Certificate and key are read again for each connection, so they may be renewed in place.
func WithMTLS(certFile, keyFile, caFile string) Option {
	return func(s *settings) error {
		config, err := mutualTLS(certFile, keyFile, caFile)
		if err != nil {
			return err
		}
		s.transport = credentials.NewTLS(config)
		return nil
	}
}

// WithAPIKey sends the key with every call.
func WithAPIKey(key string) Option {
	return func(s *settings) error {
		s.identity.apiKey = key
		return nil
	}
}

// WithTenant names the tenant to call for; gateways believe it of trusted peers only.
func WithTenant(id string) Option {
	return func(s *settings) error {
		s.identity.tenant = id
		return nil
	}
}

// WithServiceConfig replaces the default service config, in gRPC's JSON: round_robin over all
// addresses, and UNAVAILABLE, nothing else, tried again before the first output, when the gateway
// says. [WithMaxAttempts] and [WithHealthCheck] then have no effect.
func WithServiceConfig(json string) Option {
	return func(s *settings) error {
		s.serviceConfig = json
		return nil
	}
}

// WithMaxAttempts bounds how often a call is tried in all: 4 by default, 5 at most, 1 for no
// second try.
func WithMaxAttempts(n int) Option {
	return func(s *settings) error {
		s.maxAttempts = n
		return nil
	}
}

// WithHealthCheck sends calls only to addresses that report themselves as serving.
func WithHealthCheck() Option {
	return func(s *settings) error {
		s.healthCheck = true
		return nil
	}
}

// WithKeepalive pings the gateway when a call has been silent for the time idle, 20 s by default
// and 10 s at least, and drops the connection when no answer comes within the time wait, 10 s by
// default.
func WithKeepalive(idle, wait time.Duration) Option {
	return func(s *settings) error {
		s.keepalive = keepalive.ClientParameters{Time: idle, Timeout: wait}
		return nil
	}
}

// WithTimeouts changes the deadlines of calls whose context has none.
func WithTimeouts(t Timeouts) Option {
	return func(s *settings) error {
		replaceIfSet(&s.timeouts.Chat, t.Chat)
		replaceIfSet(&s.timeouts.Embed, t.Embed)
		replaceIfSet(&s.timeouts.EmbedAll, t.EmbedAll)
		replaceIfSet(&s.timeouts.Read, t.Read)
		return nil
	}
}

// WithDialOptions adds options of gRPC itself, which win over the client's: interceptors, stats
// handlers, a dialer, a resolver.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.grpc = append(s.grpc, opts...)
		return nil
	}
}

func (s *settings) dialOptions() []grpc.DialOption {
	config := s.serviceConfig
	if config == "" {
		config = serviceConfig(s.maxAttempts, s.healthCheck)
	}
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(s.transport),
		grpc.WithPerRPCCredentials(s.identity),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithKeepaliveParams(s.keepalive),
		grpc.WithUserAgent("turnout-go"),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxReceiveBytes),
			grpc.MaxRetryRPCBufferSize(maxRetryBytes),
		),
	}, s.grpc...)
}

func replaceIfSet(timeout *time.Duration, given time.Duration) {
	if given != 0 {
		*timeout = given
	}
}
