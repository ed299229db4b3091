package turnout_test

import (
	"errors"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	turnout "github.com/turnout-dev/turnout/clients/go"
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

func TestAnErrorIsOneLineWithAllThatIsToBeMended(t *testing.T) {
	_, err := dial(t).Chat(t.Context(), turnout.Ask(invalid, "Hi."), turnout.RequestID("r-7")).
		Collect(t.Context())
	const want = "turnout: 3 fields are invalid; messages[0].role: must be set; " +
		"temperature: must be 0 to 2; top_k: must be 1 or more " +
		"(INVALID_REQUEST, InvalidArgument, request r-7)"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestAnErrorIsAlsoAStatusWithItsDetails(t *testing.T) {
	_, err := dial(t).Complete(t.Context(), turnout.Ask("smoke:unknown_model", "Hi."))
	if told := status.Convert(err); told.Code() != codes.NotFound || len(told.Details()) != 3 {
		t.Errorf("%v, %v", told.Code(), told.Details())
	}
}

func TestEveryMethodTellsItsErrorOnce(t *testing.T) {
	client, ctx := dial(t, turnout.WithAPIKey("wrong")), t.Context()
	told := map[string][]error{}
	tell := func(method string, err error) { told[method] = append(told[method], err) }
	for _, err := range client.Chat(ctx, turnout.Ask("chat", "Hi.")).Text() {
		tell("Chat", err)
	}
	for _, err := range client.Models(ctx) {
		tell("Models", err)
	}
	for _, err := range client.WatchProviders(ctx) {
		tell("WatchProviders", err)
	}
	for _, err := range client.Usage(ctx, &turnoutv1.QueryUsageRequest{}) {
		tell("Usage", err)
	}
	texts := func(yield func(string) bool) { yield("text 0") }
	for _, err := range client.EmbedAll(ctx, &turnoutv1.EmbedOptions{}, texts).Results() {
		tell("EmbedAll", err)
	}
	_, err := client.Model(ctx, "chat")
	tell("Model", err)
	_, err = client.Limits(ctx)
	tell("Limits", err)
	_, err = client.Embed(ctx, &turnoutv1.EmbedRequest{})
	tell("Embed", err)
	if len(told) != 8 {
		t.Errorf("errors of %d methods", len(told))
	}
	for method, errs := range told {
		var failure *turnout.Error
		if len(errs) != 1 || !errors.As(errs[0], &failure) ||
			failure.Reason != turnout.ReasonUnauthenticated {
			t.Errorf("%s: %v", method, errs)
		}
	}
}

func TestAGatewayOutOfReachIsUnavailableAndRetryable(t *testing.T) {
	client := dialTo(t, "127.0.0.1:1", turnout.WithMaxAttempts(1))
	_, err := client.Complete(t.Context(), turnout.Ask("chat", "Hi."))
	var failure *turnout.Error
	if !errors.As(err, &failure) || failure.Code != codes.Unavailable || !failure.Retryable {
		t.Errorf("%v", err)
	}
}

func TestOneClientServesManyGoroutines(t *testing.T) {
	client := dial(t)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			answer, err := client.Chat(t.Context(), turnout.Ask("chat", "Why?")).
				Collect(t.Context())
			if err != nil || answer.Finish == nil {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	group.Wait()
}
