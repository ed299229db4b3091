package turnout

import (
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// An Answer is an answer, or as much of it as there is.
type Answer struct {
	Text      string
	Thinking  string
	ToolCalls []*turnoutv1.ToolCall
	// Finish says how the answer ended, with usage and route; nil until it has.
	Finish *turnoutv1.Finish
	// Generation counts how often the gateway started over; what was voided is gone.
	Generation uint32
}

// Message is the answer as the assistant's turn, to be sent back with what comes next.
//
// With thinking or signatures only a request with StreamOptions.FinalMessage, or
// [Client.Complete], gives a turn that providers accept.
func (a *Answer) Message() *turnoutv1.Message {
	if message := a.Finish.GetMessage(); message != nil {
		return message
	}
	message := &turnoutv1.Message{Role: turnoutv1.Role_ROLE_ASSISTANT}
	if a.Text != "" {
		text := &turnoutv1.Part{Content: &turnoutv1.Part_Text{Text: a.Text}}
		message.Parts = append(message.Parts, text)
	}
	for _, call := range a.ToolCalls {
		part := &turnoutv1.Part{Content: &turnoutv1.Part_ToolCall{ToolCall: call}}
		message.Parts = append(message.Parts, part)
	}
	return message
}

// completed is the answer of the unary call.
func completed(response *turnoutv1.CompleteChatResponse) *Answer {
	answer := &Answer{
		Text:      response.GetText(),
		ToolCalls: response.GetToolCalls(),
		Finish:    response.GetFinish(),
	}
	for _, part := range response.GetFinish().GetMessage().GetParts() {
		answer.Thinking += part.GetThinking().GetText()
	}
	return answer
}
