package apikey

import (
	"errors"
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// maxAttempts bounds how often a change is decided.
const maxAttempts = 10

// movedError is a write that failed because a record that it rests on had
// changed since it was read.
type movedError struct{ error }

func (e *movedError) Unwrap() error { return e.error }

// settled makes an attempt at a change, and makes it again as long as a record
// that the attempt rested on moved before it was written. Each attempt reads
// and decides anew.
func settled[T any](attempt func() (T, error)) (T, error) {
	var again *movedError
	for n := 1; ; n++ {
		result, err := attempt()
		if n == maxAttempts || !errors.As(err, &again) {
			return result, err
		}
	}
}

// settledAlone is settled for a change that returns nothing.
func settledAlone(attempt func() error) error {
	_, err := settled(func() (struct{}, error) { return struct{}{}, attempt() })
	return err
}

// written wraps the error of a write.
func written(what string, err error) error {
	if err == nil {
		return nil
	}
	return moved(fmt.Errorf("apikey: %s: %w", what, err))
}

// moved marks the error of a write for settled.
func moved(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return &movedError{err}
	}
	return err
}

// basis are the records that the actor's rights were read from: none for a
// person. A change that only takes something away rests on the acting key
// alone.
func (p powers) basis() []store.Precondition {
	if p.key == nil {
		return nil
	}
	return []store.Precondition{{Key: p.key.ID, Version: p.key.Version}}
}

// basisIn adds what else a change that gives something rests on: the settings
// that the acting key stands under, and those that policies were asked with.
func (p powers) basisIn(w store.Workspace, instance store.Instance) []store.Precondition {
	records := p.basis()
	if p.key != nil {
		records = append(records, settingsRead(p.around.Workspace, p.around.Instance)...)
	}
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
