package turnout_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// smokeCase is a row of clients/smoke/cases.json, whose README says what each key means.
type smokeCase struct {
	Name    string          `json:"name"`
	Method  string          `json:"method"`
	Request json.RawMessage `json:"request"`
	Fill    struct {
		MessageTextSizeBytes int `json:"message_text_size_bytes"`
		Texts                int `json:"texts"`
	} `json:"fill"`
	APIKey      string            `json:"api_key"`
	Metadata    map[string]string `json:"metadata"`
	Traceparent string            `json:"traceparent"`
	DeadlineMS  int               `json:"deadline_ms"`
	Client      struct {
		CancelAfterDeltas   int `json:"cancel_after_deltas"`
		CancelAfterMessages int `json:"cancel_after_messages"`
	} `json:"client"`
	Want smokeWant `json:"want"`
}

// smokeWant is what must come of a case: a nil or zero field is not asked.
type smokeWant struct {
	Status        string              `json:"status"`
	Text          *string             `json:"text"`
	Thinking      *string             `json:"thinking"`
	TextSizeBytes *int                `json:"text_size_bytes"`
	ToolCalls     []map[string]string `json:"tool_calls"`
	FinishReason  string              `json:"finish_reason"`
	Generation    *uint32             `json:"generation"`
	Usage         map[string]any      `json:"usage"`
	Route         map[string]any      `json:"route"`
	Error         *wantError          `json:"error"`
	Embeddings    *wantEmbeddings     `json:"embeddings"`
	Names         []string            `json:"names"`
	Server        *wantServer         `json:"server"`
}

type wantError struct {
	Reason        string         `json:"reason"`
	Retryable     *bool          `json:"retryable"`
	OutputStarted *bool          `json:"output_started"`
	RetryDelayMS  *int64         `json:"retry_delay_ms"`
	Attempts      *int           `json:"attempts"`
	Usage         map[string]any `json:"usage"`
	Violations    []string       `json:"violations"`
}

type wantEmbeddings struct {
	Count      int            `json:"count"`
	Dimensions int            `json:"dimensions"`
	Failed     map[int]string `json:"failed"`
}

type wantServer struct {
	Calls                   *int              `json:"calls"`
	CallsAtLeast            *int              `json:"calls_at_least"`
	CallsAtMost             *int              `json:"calls_at_most"`
	Outcome                 *string           `json:"outcome"`
	HasDeadline             *bool             `json:"has_deadline"`
	GapAtLeastMS            *float64          `json:"gap_at_least_ms"`
	Metadata                map[string]string `json:"metadata"`
	TraceID                 *string           `json:"trace_id"`
	RequestSizeAtLeastBytes *int              `json:"request_size_at_least_bytes"`
	UnansweredItemsAtMost   *int              `json:"unanswered_items_at_most"`
	UpstreamsOpen           *int              `json:"upstreams_open"`
}

// seenCall is a call as the server saw it.
type seenCall struct {
	Metadata              map[string]string `json:"metadata"`
	HasDeadline           bool              `json:"has_deadline"`
	StartedMS             float64           `json:"started_ms"`
	EndedMS               float64           `json:"ended_ms"`
	Outcome               string            `json:"outcome"`
	RequestSizeBytes      int               `json:"request_size_bytes"`
	UnansweredItemsAtMost int               `json:"unanswered_items_at_most"`
	UpstreamsOpen         int               `json:"upstreams_open"`
}

func smokeCases(t *testing.T) []smokeCase {
	t.Helper()
	file := os.Getenv("SMOKE_CASES")
	if file == "" {
		file = filepath.Join("..", "smoke", "cases.json")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []smokeCase `json:"cases"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	return table.Cases
}

// decode reads the case's request into a message of its method.
func (c *smokeCase) decode(t *testing.T, into proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal(c.Request, into); err != nil {
		t.Fatal(err)
	}
}

func (c *smokeCase) chatRequest(t *testing.T) *turnoutv1.ChatRequest {
	t.Helper()
	request := &turnoutv1.ChatRequest{}
	c.decode(t, request)
	if size := c.Fill.MessageTextSizeBytes; size > 0 {
		request.Messages[0].Text = strings.Repeat("x", size)
	}
	return request
}

func (c *smokeCase) texts() iter.Seq[string] {
	return func(yield func(string) bool) {
		for number := range c.Fill.Texts {
			if !yield(fmt.Sprintf("text %d", number)) {
				return
			}
		}
	}
}

// seenCalls asks the server what it saw of the calls with this id, once all have ended.
func seenCalls(t *testing.T, requestID string) []seenCall {
	t.Helper()
	response, err := http.Get(reports + "/calls?request_id=" + url.QueryEscape(requestID))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var report struct {
		Calls []seenCall `json:"calls"`
	}
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return report.Calls
}
