package apikey

import (
	"errors"
	"fmt"
	"slices"

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

// fail adds to an error of the store what was to be done; nil stays nil.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("apikey: %s: %w", what, err)
}

// writeError is like fail, for a write: it returns store.ErrConflict as a staleError,
// so that retry makes another attempt.
func writeError(what string, err error) error {
	if errors.Is(err, store.ErrConflict) {
		return &staleError{fail(what, err)}
	}
	return fail(what, err)
}

// preconditions returns the preconditions of a change that only takes something
// away: the record of the acting key, from which its rights were read. A person has
// none.
func (p powers) preconditions() []store.Precondition {
	if p.key == nil {
		return nil
	}
	return []store.Precondition{{Key: p.key.ID, Version: p.key.Version}}
}

// preconditionsOfActor returns preconditions and the settings that apply to the
// acting key: all records that its rights were read from.
func (p powers) preconditionsOfActor() []store.Precondition {
	if p.key == nil {
		return nil
	}
	return append(p.preconditions(), settingsRead(p.found.Workspace, p.found.Instance)...)
}

// preconditionsIn returns the preconditions of a change that gives something in the
// workspace w. They also name the settings that policies decided with.
func (p powers) preconditionsIn(w store.Workspace, instance store.Instance) []store.Precondition {
	records := p.preconditionsOfActor()
	for _, record := range settingsRead(w, instance) {
		if !slices.Contains(records, record) {
			records = append(records, record)
		}
	}
	return records
}

func settingsRead(w store.Workspace, instance store.Instance) []store.Precondition {
	return []store.Precondition{{Workspace: w.ID, Version: w.Version}, {Version: instance.Version}}
}
