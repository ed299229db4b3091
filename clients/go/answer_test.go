package turnout

import (
	"testing"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

func piece(part uint32, id, name, arguments string) *turnoutv1.ChatResponse {
	delta := &turnoutv1.ToolCallDelta{Id: id, Name: name, ArgumentsJsonDelta: arguments}
	event := &turnoutv1.ChatResponse_ToolCallDelta{ToolCallDelta: delta}
	return &turnoutv1.ChatResponse{PartIndex: part, Event: event}
}

func TestAToolCallThatBreaksOffIsCutWhereItStands(t *testing.T) {
	var a assembly
	a.add(piece(0, "c1", "add", `{"a":`))
	a.add(piece(1, "", "sub", `{`)) // a provider that gives no ids
	a.add(piece(0, "", "", `1`))
	a.add(piece(1, "", "", `}`))
	calls := a.answer().ToolCalls
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	if calls[0].GetId() != "c1" || calls[0].GetName() != "add" ||
		calls[0].GetArgumentsJson() != `{"a":1` {
		t.Errorf("the first is %v", calls[0])
	}
	if calls[1].GetName() != "sub" || calls[1].GetArgumentsJson() != "{}" {
		t.Errorf("the second is %v", calls[1])
	}
	if !a.outputStarted {
		t.Error("a piece of a tool call is output")
	}
}

func TestTheTurnToSendBackHoldsTextAndToolCalls(t *testing.T) {
	call := &turnoutv1.ToolCall{Id: "c1", Name: "add", ArgumentsJson: "{}"}
	answer := &Answer{Text: "Adding.", ToolCalls: []*turnoutv1.ToolCall{call}}
	parts := answer.Message().GetParts()
	if len(parts) != 2 || parts[0].GetText() != "Adding." || parts[1].GetToolCall() != call {
		t.Errorf("%v", parts)
	}
	result := ToolResult(call, "3")
	if got := result.GetParts()[0].GetToolResult(); got.GetToolCallId() != "c1" ||
		result.GetRole() != turnoutv1.Role_ROLE_TOOL {
		t.Errorf("%v", result)
	}
}
