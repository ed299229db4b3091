package turnout_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	turnout "github.com/turnout-dev/turnout/clients/go"
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// Models of the scripted server that go silent after some text.
const (
	silent  = "smoke:deadline_passes"
	endless = "smoke:caller_cancels"
)

func TestLeavingTheLoopEndsTheCall(t *testing.T) {
	id := uuid.NewString()
	stream := dial(t).Chat(t.Context(), turnout.Ask(endless, "Talk."), turnout.RequestID(id))
	for _, err := range stream.Text() {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if calls := seenCalls(t, id); len(calls) != 1 || calls[0].Outcome != "cancelled" {
		t.Errorf("the server saw %+v", calls)
	}
}

func TestCancellingTheContextIsToldAsItsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range dial(t).Chat(ctx, turnout.Ask(silent, "Wait.")).Text() {
		last = err
		cancel()
	}
	var failure *turnout.Error
	if !errors.Is(last, context.Canceled) || !errors.As(last, &failure) {
		t.Fatalf("not a cancel: %v", last)
	}
	if failure.Partial.Text != "Soon" || failure.Reason != "" || failure.Retryable {
		t.Errorf("%+v", failure)
	}
}

func TestCollectEndsWithItsOwnContext(t *testing.T) {
	stream := dial(t).Chat(t.Context(), turnout.Ask(silent, "Wait."))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := stream.Collect(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("not a deadline: %v", err)
	}
}

func TestCallsWithoutDeadlineGetTheClientsOwn(t *testing.T) {
	client := dial(t, turnout.WithTimeouts(turnout.Timeouts{Chat: 100 * time.Millisecond}))
	_, err := client.Chat(t.Context(), turnout.Ask(silent, "Wait.")).Collect(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not a deadline: %v", err)
	}
}

func TestAnEndedStreamTellsItsErrorAgain(t *testing.T) {
	stream := dial(t).Chat(t.Context(), turnout.Ask(interrupted, "Go on."))
	_, first := stream.Collect(t.Context())
	_, second := stream.Collect(t.Context())
	if first == nil || first != second {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestAWholeAnswerCanBeCollectedAgain(t *testing.T) {
	stream := dial(t).Chat(t.Context(), turnout.Ask("chat", "Why?"))
	for _, err := range stream.Text() {
		if err != nil {
			t.Fatal(err)
		}
	}
	stream.Close()
	answer, err := stream.Collect(t.Context())
	if err != nil || answer.Text == "" || answer.Finish == nil {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestTheContextsRequestIDIsKept(t *testing.T) {
	id := uuid.NewString()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", id)
	stream := dial(t).Chat(ctx, turnout.Ask("chat", "Why?"))
	if _, err := stream.Collect(ctx); err != nil || stream.RequestID() != id {
		t.Errorf("%s, %v", stream.RequestID(), err)
	}
	if calls := seenCalls(t, id); len(calls) != 1 {
		t.Errorf("the server saw %d calls", len(calls))
	}
}

func TestARestartBeforeAnyTextIsNotTold(t *testing.T) {
	server := &gateway{events: []*turnoutv1.ChatResponse{
		{Event: &turnoutv1.ChatResponse_ThinkingDelta{ThinkingDelta: "hm"}},
		{Generation: 1, Event: &turnoutv1.ChatResponse_TextDelta{TextDelta: "yes"}},
		{Generation: 1, Event: &turnoutv1.ChatResponse_Finish{Finish: &turnoutv1.Finish{}}},
	}}
	client := dialTo(t, server.serve(t))
	for text, err := range client.Chat(t.Context(), turnout.Ask("chat", "Yes?")).Text() {
		if text != "yes" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	}
}
