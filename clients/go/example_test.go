package turnout_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	turnout "github.com/turnout-dev/turnout/clients/go"
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Models of the scripted server, by what happens to their answers.
const (
	restarting  = "smoke:restart_voids_what_came_before"
	interrupted = "smoke:failure_after_partial_text"
	invalid     = "smoke:invalid_argument_names_fields"
	itemFails   = "smoke:embed_stream_item_fails"
)

// The text of an answer, as it is written.
func Example() {
	client, err := turnout.Dial(address, turnout.WithAPIKey(apiKey))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for text, err := range client.Chat(ctx, turnout.Ask("chat", "Why is the sky blue?")).Text() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(text)
	}
	// Output: Blue light — it 散 🌤 scatters.
}

// The gateway answers anew when a provider fails midway: what was shown is taken back.
func ExampleChatStream_Text_restart() {
	client := connect()
	defer client.Close()

	request := turnout.Ask(restarting, "Count.")
	request.Routing = &turnoutv1.RoutingOptions{
		MidStreamPolicy: turnoutv1.MidStreamPolicy_MID_STREAM_POLICY_RESTART,
	}
	shown := ""
	for text, err := range client.Chat(context.Background(), request).Text() {
		switch {
		case errors.Is(err, turnout.ErrRestarted):
			fmt.Printf("void: %q\n", shown)
			shown = ""
		case err != nil:
			log.Fatal(err)
		default:
			shown += text
		}
	}
	fmt.Printf("kept: %q\n", shown)
	// Output:
	// void: "One, tw"
	// kept: "1, 2, 3."
}

// The whole answer, whether or not it was restarted on the way.
func ExampleChatStream_Collect() {
	client := connect()
	defer client.Close()

	ctx := context.Background()
	answer, err := client.Chat(ctx, turnout.Ask(restarting, "Count.")).Collect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	fmt.Println(answer.Finish.GetRoute().GetModel(), answer.Finish.GetUsage().GetOutputTokens())
	// Output:
	// 1, 2, 3.
	// two 11
}

// Everything that happens, tool calls included.
func ExampleChatStream_Events() {
	client := connect()
	defer client.Close()

	request := turnout.Ask("smoke:tool_calls_come_whole", "Weather in Oslo and Lima?")
	for event, err := range client.Chat(context.Background(), request).Events() {
		if err != nil {
			log.Fatal(err)
		}
		switch event := event.GetEvent().(type) {
		case *turnoutv1.ChatResponse_TextDelta:
			fmt.Println(event.TextDelta)
		case *turnoutv1.ChatResponse_ToolCall:
			fmt.Println(event.ToolCall.GetName(), event.ToolCall.GetArgumentsJson())
		}
	}
	// Output:
	// Looking.
	// weather {"city": "Oslo", "area": 9007199254740993}
	// weather {"city":"Lima"}
}

// A conversation: the answer goes back with what comes next.
func ExampleClient_Complete() {
	client := connect()
	defer client.Close()

	request := &turnoutv1.ChatRequest{
		Model:    "chat",
		Messages: []*turnoutv1.Message{turnout.System("Be brief."), turnout.User("Say hello.")},
	}
	answer, err := client.Complete(context.Background(), request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	request.Messages = append(request.Messages, answer.Message(), turnout.User("Again."))
	fmt.Println(len(request.Messages))
	// Output:
	// Hello.
	// 4
}

// An answer that breaks off keeps what came before.
func ExampleError() {
	client := connect()
	defer client.Close()

	ctx := context.Background()
	_, err := client.Chat(ctx, turnout.Ask(interrupted, "Go on.")).Collect(ctx)
	var failure *turnout.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Reason, failure.Code, failure.Retryable)
		fmt.Printf("%q, %d tokens\n", failure.Partial.Text, failure.Usage.GetOutputTokens())
		fmt.Println(failure.Attempts[0].GetProvider(), failure.Attempts[0].GetMessage())
	}
	// Output:
	// STREAM_INTERRUPTED Aborted false
	// "Half an ans", 3 tokens
	// scripted connection reset
}

// A refused request names every field at once.
func ExampleError_violations() {
	client := connect()
	defer client.Close()

	_, err := client.Chat(context.Background(), turnout.Ask(invalid, "Hi.")).
		Collect(context.Background())
	var failure *turnout.Error
	if errors.As(err, &failure) && failure.Reason == turnout.ReasonInvalidRequest {
		for _, violation := range failure.Violations {
			fmt.Println(violation.Field, violation.Description)
		}
	}
	// Output:
	// messages[0].role must be set
	// temperature must be 0 to 2
	// top_k must be 1 or more
}

func ExampleClient_Embed() {
	client := connect()
	defer client.Close()

	embeddings, err := client.Embed(context.Background(), &turnoutv1.EmbedRequest{
		Model: "embed", Texts: []string{"text 0", "text 1"}, Dimensions: 3,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(embeddings.Vectors, embeddings.Usage.GetInputTokens())
	// Output: [[0 0.5 0.5] [1 0.5 0.5]] 4
}

// Any number of texts; one may fail alone.
func ExampleClient_EmbedAll() {
	client := connect()
	defer client.Close()

	texts := slices.Values([]string{"text 2", "text 3"})
	options := &turnoutv1.EmbedOptions{Model: itemFails, Dimensions: 2}
	stream := client.EmbedAll(context.Background(), options, texts)
	for done, err := range stream.Results() {
		switch {
		case err != nil:
			log.Fatal(err)
		case done.Err != nil:
			var failure *turnout.Error
			errors.As(done.Err, &failure)
			fmt.Println(done.Index, failure.Reason)
		default:
			fmt.Println(done.Index, done.Vector)
		}
	}
	fmt.Println(stream.Summary().GetFailedItems(), "failed")
	// Unordered output:
	// 0 [2 0.5]
	// 1 CONTEXT_LENGTH_EXCEEDED
	// 1 failed
}

func ExampleClient_Models() {
	client := connect()
	defer client.Close()

	for model, err := range client.Models(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(model.GetName(), model.GetContextWindow())
	}
	// Output:
	// chat 8192
	// embed 0
	// scripted/one 0
}
