package apikey

import (
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// maxAttempts bounds the attempts at one change while other writers change the same
// records. It is large, so that an attacker who changes a leaked key in a loop
// cannot keep it from being disabled.
const maxAttempts = 100

// staleError is the error of a write that failed because the record, or one of its
// preconditions, has changed since it was read.
type staleError struct{ error }

func (e *staleError) Unwrap() error { return e.error }

// retry calls attempt again as long as it fails with a staleError, up to
// maxAttempts times. Each attempt must read and decide again.
func retry[T any](attempt func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		result, err := attempt()
		if _, stale := errors.AsType[*staleError](err); !stale || n == maxAttempts {
			return result, err
		}
	}
}

// retryErr is retry for an attempt that returns an error only.
func retryErr(attempt func() error) error {
	_, err := retry(func() (struct{}, error) { return struct{}{}, attempt() })
	return err
}

// describe adds the operation to an error of the store. A nil error stays nil.
func describe(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("apikey: %s: %w", what, err)
}

// writeError is like describe, for a write: it returns store.ErrConflict as a staleError,
// so that retry makes another attempt.
func writeError(what string, err error) error {
	if errors.Is(err, store.ErrConflict) {
		return &staleError{describe(what, err)}
	}
	return describe(what, err)
}
