package turnout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// identity is who calls, as gRPC's credentials of each call.
type identity struct {
	apiKey string
	tenant string
}

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (i identity) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	headers := make(map[string]string, 2)
	if i.apiKey != "" {
		headers["authorization"] = "Bearer " + i.apiKey
	}
	if i.tenant != "" {
		headers["x-tenant-id"] = i.tenant
	}
	return headers, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]. A gateway beside its caller
// is often reached without TLS, or through a proxy that adds it.
func (i identity) RequireTransportSecurity() bool { return false }

func mutualTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		return &pair, err
	}
	if _, err := load(); err != nil {
		return nil, fmt.Errorf("turnout: client certificate: %w", err)
	}
	config := &tls.Config{
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return load()
		},
	}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("turnout: certificate authority: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("turnout: certificate authority: no certificate in %s", caFile)
	}
	return config, nil
}
