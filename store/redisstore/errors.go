package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// fail names the operation that an error is about; nil stays nil.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", operation, err)
}

// outage is a failure of the server or of the way to it. Its text names the
// kind of failure only: the client's own texts hold addresses.
type outage struct {
	kind  string
	cause []error
}

func (o *outage) Error() string { return store.ErrUnavailable.Error() + " (" + o.kind + ")" }

// Unwrap shows store.ErrUnavailable, and the context's error if that is why.
func (o *outage) Unwrap() []error { return o.cause }

func outageOf(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	o := &outage{kind: kindOf(err), cause: []error{store.ErrUnavailable}}
	switch {
	case ctx.Err() != nil:
		o.cause = append(o.cause, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		o.cause = append(o.cause, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		o.cause = append(o.cause, context.Canceled)
	}
	return o
}

func kindOf(err error) string {
	var answer redis.Error
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &answer):
		// Redis begins an error with its kind in capitals, such as READONLY.
		word, _, _ := strings.Cut(answer.Error(), " ")
		if len(word) <= 20 && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			return word
		}
		return "refused by the server"
	case errors.Is(err, redis.ErrClosed):
		return "client closed"
	case errors.Is(err, io.EOF), errors.As(err, &network):
		return "no connection"
	}
	return "failed"
}

// statuses are what scripts answer.
func statusError(status string) error {
	switch status {
	case "ok":
		return nil
	case "exists":
		return store.ErrExists
	case "missing":
		return store.ErrNotFound
	case "conflict":
		return store.ErrConflict
	case "limit":
		return store.ErrLimit
	}
	return fmt.Errorf("unknown answer: %w", store.ErrUnavailable)
}
