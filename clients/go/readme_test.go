package turnout_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// program wraps the README's blocks: the first is main, the others are functions of its kind.
const program = `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
	"github.com/turnout-dev/turnout/clients/go/turnoutotel"
)

%s

// What a block does not use.
var _ = []any{errors.New, os.Getenv, slices.Values[[]string], time.Sleep, proto.Uint32,
	turnoutv1.Role_ROLE_USER, turnoutotel.WithTelemetry}

func main() {
	ctx := context.Background()
%s
}
%s`

var codeBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestTheReadmesCodeRuns compiles every block and runs the first against the scripted server.
func TestTheReadmesCodeRuns(t *testing.T) {
	quickStart, others := readmeBlocks(t)
	if lines := linesToPrint(quickStart); lines > 10 {
		t.Errorf("%d lines from import to print", lines)
	}
	imported, body, _ := strings.Cut(quickStart, "\n")
	body = strings.Replace(body, `"localhost:50051"`,
		fmt.Sprintf("%q, turnout.WithAPIKey(%q)", address, apiKey), 1)
	var functions strings.Builder
	for i, block := range others {
		fmt.Fprintf(&functions,
			"\nfunc block%d(ctx context.Context, client *turnout.Client) error {\n{\n%s}\nreturn nil\n}\n",
			i, block) // in a scope of its own, since a block may declare its own client
	}
	out := build(t, fmt.Sprintf(program, imported, body, functions.String()))
	printed, err := exec.Command(out).CombinedOutput()
	if err != nil || string(printed) != "Blue light — it 散 🌤 scatters." {
		t.Errorf("%s, %v", printed, err)
	}
}

func readmeBlocks(t *testing.T) (quickStart string, others []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range codeBlock.FindAllStringSubmatch(string(text), -1) {
		others = append(others, match[1])
	}
	if len(others) == 0 {
		t.Fatal("the README has no code")
	}
	return others[0], others[1:]
}

// linesToPrint counts what a caller writes from the import to the line that prints.
func linesToPrint(block string) (lines int) {
	for line := range strings.Lines(block) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		lines++
		if strings.Contains(line, "fmt.Print") {
			return lines
		}
	}
	return lines
}

// build compiles a program as if it lay in this module. It returns the executable.
func build(t *testing.T, source string) string {
	t.Helper()
	folder := t.TempDir()
	file, out := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	place, err := filepath.Abs(filepath.Join("readme", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(folder, "overlay.json")
	for name, content := range map[string]string{file: source, overlayFile: string(overlay)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told, err := exec.Command("go", "build", "-overlay", overlayFile, "-o", out, "./readme").
		CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%s", told, source)
	}
	return out
}
