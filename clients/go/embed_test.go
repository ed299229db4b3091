package turnout_test

import (
	"testing"

	turnout "github.com/turnout-dev/turnout/clients/go"
	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

func TestTextsAreSentAsSoonAsTheyAreGiven(t *testing.T) {
	done := make(chan struct{}, 1)
	texts := func(yield func(string) bool) {
		for range 3 {
			if !yield("text 7") {
				return
			}
			<-done // the next text depends on the result of this one
		}
	}
	stream := dial(t).EmbedAll(
		t.Context(), &turnoutv1.EmbedOptions{Model: itemFails, Dimensions: 2}, texts,
		turnout.Window(1))
	results := 0
	for embedded, err := range stream.Results() {
		if err != nil || embedded.Index != results || embedded.Vector[0] != 7 {
			t.Fatalf("%+v, %v", embedded, err)
		}
		results++
		done <- struct{}{}
	}
	if results != 3 {
		t.Errorf("%d results", results)
	}
}

func TestLeavingTheResultsStopsTheTexts(t *testing.T) {
	stopped := make(chan struct{})
	texts := func(yield func(string) bool) {
		defer close(stopped)
		for yield("text 1") {
		}
	}
	options := &turnoutv1.EmbedOptions{Model: itemFails, Dimensions: 2}
	for _, err := range dial(t).EmbedAll(t.Context(), options, texts).Results() {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	<-stopped
}

func TestNoTextsGiveNoResultsAndASummary(t *testing.T) {
	stream := dial(t).EmbedAll(
		t.Context(), &turnoutv1.EmbedOptions{Model: itemFails}, func(func(string) bool) {})
	for embedded, err := range stream.Results() {
		t.Errorf("%+v, %v", embedded, err)
	}
	if stream.Summary() == nil {
		t.Error("no summary")
	}
}
