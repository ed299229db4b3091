package turnout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

// check compares everything that the case wants with what there was.
func (o *outcome) check(t *testing.T, want *smokeWant, requestID string) {
	t.Helper()
	var code codes.Code
	if err := code.UnmarshalJSON([]byte(`"` + want.Status + `"`)); err != nil {
		t.Fatal(err)
	}
	if got := status.Code(o.err); got != code && !(o.left && code == codes.Canceled) {
		t.Fatalf("status %v, want %v: %v", got, code, o.err)
	}
	if o.answer == nil {
		o.answer = &turnout.Answer{}
	}
	checkAnswer(t, want, o.answer)
	if want.Error != nil {
		checkError(t, want.Error, o.err, requestID)
	}
	if want.Embeddings != nil {
		o.checkEmbeddings(t, want.Embeddings)
	}
	if want.Names != nil && !slices.Equal(o.names, want.Names) {
		t.Errorf("names %q, want %q", o.names, want.Names)
	}
}

func checkAnswer(t *testing.T, want *smokeWant, answer *turnout.Answer) {
	t.Helper()
	equal(t, "text", want.Text, answer.Text)
	equal(t, "size of the text", want.TextSizeBytes, len(answer.Text))
	equal(t, "thinking", want.Thinking, answer.Thinking)
	equal(t, "generation", want.Generation, answer.Generation)
	reason := ""
	if answer.Finish != nil {
		reason = strings.TrimPrefix(answer.Finish.GetReason().String(), "FINISH_REASON_")
	}
	same(t, "finish reason", want.FinishReason, reason)
	checkFields(t, answer.Finish.GetUsage(), want.Usage)
	checkFields(t, answer.Finish.GetRoute(), want.Route)
	if want.ToolCalls == nil {
		return
	}
	same(t, "number of tool calls", len(want.ToolCalls), len(answer.ToolCalls))
	for i, call := range want.ToolCalls {
		same(t, "id", call["id"], answer.ToolCalls[i].GetId())
		same(t, "name", call["name"], answer.ToolCalls[i].GetName())
		same(t, "arguments", call["arguments_json"], answer.ToolCalls[i].GetArgumentsJson())
	}
}

func checkError(t *testing.T, want *wantError, err error, requestID string) {
	t.Helper()
	var failure *turnout.Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *Error: %v", err)
	}
	same(t, "reason", want.Reason, string(failure.Reason))
	same(t, "request id", requestID, failure.RequestID)
	equal(t, "retryable", want.Retryable, failure.Retryable)
	equal(t, "output started", want.OutputStarted, failure.OutputStarted)
	equal(t, "retry delay", want.RetryDelayMS, failure.RetryDelay.Milliseconds())
	equal(t, "number of attempts", want.Attempts, len(failure.Attempts))
	checkFields(t, failure.Usage, want.Usage)
	var fields []string
	for _, violation := range failure.Violations {
		fields = append(fields, violation.Field)
	}
	if want.Violations != nil && !slices.Equal(fields, want.Violations) {
		t.Errorf("violations of %q, want %q", fields, want.Violations)
	}
}

func (o *outcome) checkEmbeddings(t *testing.T, want *wantEmbeddings) {
	t.Helper()
	same(t, "number of vectors", want.Count, len(o.vectors))
	same(t, "number of failed texts", len(want.Failed), len(o.failed))
	for index, reason := range want.Failed {
		same(t, "reason of a text", reason, o.failed[index])
	}
	for index, vector := range o.vectors {
		if len(vector) != want.Dimensions || vector[0] != float32(index) {
			t.Fatalf("vector %d is %v", index, vector)
		}
	}
}

func checkSeen(t *testing.T, want *wantServer, calls []seenCall) {
	t.Helper()
	if len(calls) == 0 {
		t.Fatal("the server saw no call")
	}
	last := calls[len(calls)-1]
	equal(t, "number of calls", want.Calls, len(calls))
	atLeast(t, "calls", want.CallsAtLeast, len(calls))
	atMost(t, "calls", want.CallsAtMost, len(calls))
	equal(t, "outcome", want.Outcome, last.Outcome)
	for _, call := range calls {
		equal(t, "deadline", want.HasDeadline, call.HasDeadline)
	}
	if want.GapAtLeastMS != nil {
		atLeast(t, "gap", want.GapAtLeastMS, calls[1].StartedMS-calls[0].EndedMS)
	}
	for key, value := range want.Metadata {
		same(t, key, value, last.Metadata[key])
	}
	if want.TraceID != nil {
		traceparent := strings.Split(last.Metadata["traceparent"]+"--", "-")
		equal(t, "trace id", want.TraceID, traceparent[1])
	}
	atLeast(t, "size of the request", want.RequestSizeAtLeastBytes, last.RequestSizeBytes)
	atMost(t, "unanswered items", want.UnansweredItemsAtMost, last.UnansweredItemsAtMost)
	equal(t, "streams left open upstream", want.UpstreamsOpen, last.UpstreamsOpen)
}

func checkFields(t *testing.T, message proto.Message, want map[string]any) {
	t.Helper()
	for name, value := range want {
		fields := message.ProtoReflect()
		field := fields.Descriptor().Fields().ByName(protoreflect.Name(name))
		same(t, name, fmt.Sprint(value), fmt.Sprint(fields.Get(field)))
	}
}

// equal compares where something is wanted.
func equal[T comparable](t *testing.T, what string, want *T, got T) {
	t.Helper()
	if want != nil {
		same(t, what, *want, got)
	}
}

func same[T comparable](t *testing.T, what string, want, got T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func atLeast[T int | float64](t *testing.T, what string, want *T, got T) {
	t.Helper()
	if want != nil && got < *want {
		t.Errorf("%s: %v, want at least %v", what, got, *want)
	}
}

func atMost[T int | float64](t *testing.T, what string, want *T, got T) {
	t.Helper()
	if want != nil && (got < 1 || got > *want) {
		t.Errorf("%s: %v, want 1 to %v", what, got, *want)
	}
}
