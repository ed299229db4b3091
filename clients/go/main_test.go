package turnout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

const startTimeout = 60 * time.Second

// address and apiKey are of the scripted server of clients/smoke, which all tests share, or of the
// one that the file SMOKE_SERVER names; reports is where it tells what it saw.
var address, apiKey, reports string

func TestMain(m *testing.M) {
	stop, err := startServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// startServer needs a Python with grpcio: that of $PYTHON, or the one made by `make setup`.
func startServer() (stop func(), err error) {
	if given := os.Getenv("SMOKE_SERVER"); given != "" {
		return func() {}, readAddresses(given, nil)
	}
	python := os.Getenv("PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	folder, err := os.MkdirTemp("", "turnout-smoke-")
	if err != nil {
		return nil, err
	}
	portFile := filepath.Join(folder, "ready.json")
	script := filepath.Join("..", "smoke", "server.py")
	server := exec.Command(python, script, "--port-file", portFile, "--with-parent")
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("`make setup` first, or set PYTHON: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- server.Wait() }()
	if err := readAddresses(portFile, exited); err != nil {
		_ = server.Process.Kill()
		return nil, err
	}
	return func() {
		_ = stdin.Close() // ends the server
		<-exited
		_ = os.RemoveAll(folder)
	}, nil
}

func readAddresses(portFile string, exited <-chan error) error {
	timeout := time.After(startTimeout)
	for {
		select {
		case err := <-exited:
			return fmt.Errorf("the smoke server ended: %w", err)
		case <-timeout:
			return errors.New("the smoke server did not start")
		case <-time.After(20 * time.Millisecond):
		}
		text, err := os.ReadFile(portFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var ready struct {
			Address string `json:"address"`
			Report  string `json:"report"`
			APIKey  string `json:"api_key"`
		}
		if err := json.Unmarshal(text, &ready); err != nil {
			return err
		}
		address, reports, apiKey = ready.Address, ready.Report, ready.APIKey
		return nil
	}
}

// dial is a client of the scripted server, closed when the test ends.
func dial(t *testing.T, opts ...turnout.Option) *turnout.Client {
	t.Helper()
	return dialTo(t, address, append([]turnout.Option{turnout.WithAPIKey(apiKey)}, opts...)...)
}

// dialTo is a client of another server, closed when the test ends.
func dialTo(t *testing.T, address string, opts ...turnout.Option) *turnout.Client {
	t.Helper()
	client, err := turnout.Dial(address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// connect is a client for the examples, which end with the program.
func connect() *turnout.Client {
	client, err := turnout.Dial(address, turnout.WithAPIKey(apiKey))
	if err != nil {
		panic(err)
	}
	return client
}
