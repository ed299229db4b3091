package turnout

import (
	"strconv"
	"strings"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// assembly adds up the events of one stream.
type assembly struct {
	outputStarted bool // also when that output was voided
	generation    uint32
	text          strings.Builder
	thinking      strings.Builder
	tools         toolAssembly
	finish        *turnoutv1.Finish
}

func (a *assembly) add(response *turnoutv1.ChatResponse) {
	if generation := response.GetGeneration(); generation > a.generation {
		*a = assembly{outputStarted: a.outputStarted, generation: generation}
	}
	switch event := response.GetEvent().(type) {
	case *turnoutv1.ChatResponse_TextDelta:
		a.text.WriteString(event.TextDelta)
	case *turnoutv1.ChatResponse_ThinkingDelta:
		a.thinking.WriteString(event.ThinkingDelta)
	case *turnoutv1.ChatResponse_ToolCallDelta:
		a.tools.addPiece(response.GetPartIndex(), event.ToolCallDelta)
	case *turnoutv1.ChatResponse_ToolCall:
		a.tools.addWhole(response.GetPartIndex(), event.ToolCall)
	case *turnoutv1.ChatResponse_Finish:
		a.finish = event.Finish
		return
	default:
		return // progress, heartbeats and events of a newer contract are no output
	}
	a.outputStarted = true
}

func (a *assembly) answer() *Answer {
	return &Answer{
		Text:       a.text.String(),
		Thinking:   a.thinking.String(),
		ToolCalls:  a.tools.calls(),
		Finish:     a.finish,
		Generation: a.generation,
	}
}

// toolAssembly joins the pieces of tool calls, which interleave when the calls are parallel: only
// a call's first piece has its id, the others are known by their part.
type toolAssembly struct {
	order []*toolCall
	byKey map[string]*toolCall
	open  map[uint32]string // key of the call that a part's pieces belong to
}

type toolCall struct {
	id, name  string
	arguments strings.Builder
	whole     *turnoutv1.ToolCall
}

func (t *toolAssembly) addPiece(part uint32, piece *turnoutv1.ToolCallDelta) {
	if _, ok := t.open[part]; piece.GetId() != "" || !ok {
		if t.open == nil {
			t.open = map[uint32]string{}
		}
		t.open[part] = toolKey(part, piece.GetId())
	}
	call := t.get(t.open[part])
	if call.id == "" {
		call.id = piece.GetId()
	}
	if call.name == "" {
		call.name = piece.GetName()
	}
	call.arguments.WriteString(piece.GetArgumentsJsonDelta())
}

func (t *toolAssembly) addWhole(part uint32, whole *turnoutv1.ToolCall) {
	t.get(toolKey(part, whole.GetId())).whole = whole
}

func (t *toolAssembly) get(key string) *toolCall {
	if call, ok := t.byKey[key]; ok {
		return call
	}
	if t.byKey == nil {
		t.byKey = map[string]*toolCall{}
	}
	call := &toolCall{}
	t.byKey[key] = call
	t.order = append(t.order, call)
	return call
}

// calls are the calls so far; the JSON of one that is not whole is cut where it stands.
func (t *toolAssembly) calls() []*turnoutv1.ToolCall {
	var calls []*turnoutv1.ToolCall
	for _, call := range t.order {
		told := call.whole
		if told == nil {
			told = &turnoutv1.ToolCall{
				Id: call.id, Name: call.name, ArgumentsJson: call.arguments.String(),
			}
		}
		calls = append(calls, told)
	}
	return calls
}

func toolKey(part uint32, id string) string {
	if id != "" {
		return id
	}
	return strconv.FormatUint(uint64(part), 10)
}
