// Streams through the Go client: ADDRESS MODEL STREAMS AT_ONCE; prints how they ended.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	turnout "github.com/turnout-dev/turnout/clients/go"
)

type tally struct {
	Ended      map[string]int `json:"ended"`
	Characters int            `json:"characters"`
}

func main() {
	streams, atOnce := number(os.Args[3]), number(os.Args[4])
	client, err := turnout.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	total := tally{Ended: map[string]int{}}
	var left atomic.Int64
	left.Store(int64(streams))
	var callers sync.WaitGroup
	var mutex sync.Mutex
	for range atOnce {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				reason, characters := call(client, os.Args[2])
				mutex.Lock()
				total.Ended[reason]++
				total.Characters += characters
				mutex.Unlock()
			}
		})
	}
	callers.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		log.Fatal(err)
	}
}

func call(client *turnout.Client, model string) (reason string, characters int) {
	ctx := context.Background()
	for text, err := range client.Chat(ctx, turnout.Ask(model, "Hello")).Text() {
		if failure := new(turnout.Error); errors.As(err, &failure) {
			return string(failure.Reason), characters
		}
		characters += utf8.RuneCountInString(text)
	}
	return "OK", characters
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}
