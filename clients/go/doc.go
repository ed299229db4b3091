// Package turnout is the Go client of the Turnout gateway: one contract in front of many
// language-model providers.
//
// It adds to the stubs of turnout.v1 what each caller would otherwise write: iterators of text and
// of events, typed errors, default deadlines, retries before the first output, load balancing,
// keepalive, and embeddings of any number of texts.
//
// Requests and events are the stubs' own messages. Everything that fails is told as an [*Error].
// All calls end when their context does, and the provider's work with them.
package turnout
