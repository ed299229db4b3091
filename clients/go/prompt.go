package turnout

import turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"

// Ask is a request for model's answer to one text. All other fields are for the caller to set.
func Ask(model, text string) *turnoutv1.ChatRequest {
	return &turnoutv1.ChatRequest{Model: model, Messages: []*turnoutv1.Message{User(text)}}
}

// System is a turn of instructions that stand above the conversation.
func System(text string) *turnoutv1.Message {
	return &turnoutv1.Message{Role: turnoutv1.Role_ROLE_SYSTEM, Text: text}
}

// User is a turn of the person or program that asks.
func User(text string) *turnoutv1.Message {
	return &turnoutv1.Message{Role: turnoutv1.Role_ROLE_USER, Text: text}
}

// Assistant is a turn of the model's. An answer's own is [Answer.Message].
func Assistant(text string) *turnoutv1.Message {
	return &turnoutv1.Message{Role: turnoutv1.Role_ROLE_ASSISTANT, Text: text}
}

// ToolResult is a turn that gives the result of one tool call.
func ToolResult(call *turnoutv1.ToolCall, text string) *turnoutv1.Message {
	result := &turnoutv1.ToolResult{ToolCallId: call.GetId(), Text: text}
	part := &turnoutv1.Part{Content: &turnoutv1.Part_ToolResult{ToolResult: result}}
	return &turnoutv1.Message{Role: turnoutv1.Role_ROLE_TOOL, Parts: []*turnoutv1.Part{part}}
}
