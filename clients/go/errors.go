package turnout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	turnoutv1 "github.com/turnout-dev/turnout/generated/go/turnout/v1"
)

// ErrRestarted is no failure: the gateway starts the answer over, and text read so far is void.
// Clear it and read on.
var ErrRestarted = errors.New("turnout: the answer starts over")

// An Error is why a call failed: use [errors.As] to get it.
//
// It is also context.Canceled or context.DeadlineExceeded to [errors.Is] where the call ended by
// one of them, and a gRPC status to [status.FromError].
type Error struct {
	Code    codes.Code
	Reason  Reason
	Message string
	// Retryable says whether the same call may succeed later.
	Retryable bool
	// RetryDelay is how long to wait before that, 0 when unknown.
	RetryDelay time.Duration
	// OutputStarted says whether output was sent before the failure.
	OutputStarted bool
	// RequestID is the call's `x-request-id`, for the logs.
	RequestID string
	// Attempts are the tries that failed, the last 8 at most.
	Attempts []*turnoutv1.AttemptFailure
	// Usage is what was used all the same, nil when not told.
	Usage *turnoutv1.Usage
	// Violations are the fields of the request that break a rule.
	Violations []Violation
	// Partial is, of a stream, what came before it failed.
	Partial *Answer

	status *status.Status
}

// A Violation is a field of a request and what is wrong with it.
type Violation struct {
	Field       string // a path such as "messages[0].role"
	Description string
}

// Error tells message, fields, reason, code and request id in one line.
func (e *Error) Error() string {
	var line strings.Builder
	line.WriteString("turnout: " + e.Message)
	for _, v := range e.Violations {
		line.WriteString("; " + v.Field + ": " + v.Description)
	}
	line.WriteString(" (")
	if e.Reason != "" {
		line.WriteString(string(e.Reason) + ", ")
	}
	fmt.Fprintf(&line, "%v, request %s)", e.Code, e.RequestID)
	return line.String()
}

// Is tells the errors of package context.
func (e *Error) Is(target error) bool {
	return target == context.Canceled && e.Code == codes.Canceled ||
		target == context.DeadlineExceeded && e.Code == codes.DeadlineExceeded
}

// GRPCStatus is the failure as gRPC knows it, with all details that the gateway sent.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// failed is the error of a call that ended with err: partial, when there is one, came before.
func (c *call) failed(err error, outputStarted bool, partial *Answer) *Error {
	s := statusOf(err)
	// gRPC tells every cancel alike; only the cause knows that it was a deadline.
	if s.Code() == codes.Canceled && errors.Is(context.Cause(c.ctx), context.DeadlineExceeded) {
		s = status.FromContextError(context.DeadlineExceeded)
	}
	e := &Error{
		Code:          s.Code(),
		Message:       s.Message(),
		OutputStarted: outputStarted,
		RequestID:     c.requestID,
		Partial:       partial,
		status:        s,
	}
	if !e.readDetails(s) {
		e.guess()
	}
	return e
}

// unfinished is the error of a stream that ended with OK though its last message never came.
func (c *call) unfinished(outputStarted bool, partial *Answer) *Error {
	e := c.failed(status.Error(codes.Unknown, "the stream ended before its last message"),
		outputStarted, partial)
	e.Reason = ReasonStreamInterrupted
	return e
}

// itemFailed is the error of one text of many. It has no code of its own.
func (c *call) itemFailed(failure *turnoutv1.ItemError) *Error {
	e := c.failed(status.Error(codes.Unknown, failure.GetMessage()), false, nil)
	e.Reason = reasonOf(failure.GetReason())
	return e
}

// readDetails takes over what the gateway says of the failure, if it was the gateway.
func (e *Error) readDetails(s *status.Status) (found bool) {
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *turnoutv1.ErrorDetail:
			found = true
			e.Reason = reasonOf(detail.GetReason())
			e.Retryable = detail.GetRetryable()
			e.RetryDelay = detail.GetRetryDelay().AsDuration()
			e.OutputStarted = e.OutputStarted || detail.GetOutputStarted()
			e.Attempts = detail.GetAttempts()
			e.Usage = detail.GetUsage()
			if id := detail.GetRequestId(); id != "" {
				e.RequestID = id
			}
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{v.GetField(), v.GetDescription()})
			}
		}
	}
	return found
}

// guess makes a reason for a status that a proxy or gRPC itself made. After output any failure but
// the caller's own is an interruption: what was delivered must not be asked for again blindly.
func (e *Error) guess() {
	switch {
	case e.Code == codes.DeadlineExceeded:
		e.Reason = ReasonDeadlineExceeded
	case e.OutputStarted && e.Code != codes.Canceled:
		e.Reason = ReasonStreamInterrupted
	default:
		e.Retryable = e.Code == codes.Unavailable
	}
}

// statusOf is the status as it was sent. status.FromError would put gRPC's "max retries exhausted"
// before the gateway's words.
func statusOf(err error) *status.Status {
	var sent interface{ GRPCStatus() *status.Status }
	if errors.As(err, &sent) {
		return sent.GRPCStatus()
	}
	return status.Convert(err)
}
