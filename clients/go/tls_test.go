package turnout_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

func TestMutualTLSShowsTheClientsCertificate(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	address := answering("hello").serve(t, requireClientCertificate(t, certFile, keyFile))
	client := dialTo(t, address, turnout.WithMTLS(certFile, keyFile, certFile))
	answer, err := client.Chat(t.Context(), turnout.Ask("chat", "Hi.")).Collect(t.Context())
	if err != nil || answer.Text != "hello" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestTLSAloneIsRefusedWhereACertificateIsWanted(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	address := answering("hello").serve(t, requireClientCertificate(t, certFile, keyFile))
	client := dialTo(t, address,
		turnout.WithTLS(&tls.Config{RootCAs: pool(t, certFile)}), turnout.WithMaxAttempts(1))
	_, err := client.Chat(t.Context(), turnout.Ask("chat", "Hi.")).Collect(t.Context())
	if status.Code(err) != codes.Unavailable {
		t.Errorf("not refused: %v", err)
	}
}

func TestTheCertificateIsReadAgainForEachConnection(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	address := answering("hello").serve(t, requireClientCertificate(t, certFile, keyFile))
	client := dialTo(t, address,
		turnout.WithMTLS(certFile, keyFile, certFile), turnout.WithMaxAttempts(1))
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	_, err := client.Chat(t.Context(), turnout.Ask("chat", "Hi.")).Collect(t.Context())
	if status.Code(err) != codes.Unavailable {
		t.Errorf("no key was read: %v", err)
	}
}

func TestMissingCertificatesAreToldByDial(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, option := range map[string]turnout.Option{
		"certificate": turnout.WithMTLS(missing, keyFile, certFile),
		"authority":   turnout.WithMTLS(certFile, keyFile, missing),
		"no PEM":      turnout.WithMTLS(certFile, keyFile, keyFile),
	} {
		if _, err := turnout.Dial("localhost:50051", option); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func requireClientCertificate(t *testing.T, certFile, keyFile string) grpc.ServerOption {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool(t, certFile),
	}))
}

func pool(t *testing.T, certFile string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	certificates := x509.NewCertPool()
	certificates.AppendCertsFromPEM(text)
	return certificates
}

// selfSigned makes one certificate for both sides, its own authority, and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", certificate), writePEM(t, "PRIVATE KEY", private)
}

func writePEM(t *testing.T, kind string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
