package admin_test

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// failing is a store that cannot be reached.
func failing(s store.Store) store.Store {
	s.Keys, s.Settings, s.Events, s.Usage = noKeys{s.Keys}, noSettings{s.Settings}, noEvents{s.Events}, noUsage{s.Usage}
	return s
}

var errDown = fmt.Errorf("dial canary: %w", store.ErrUnavailable)

type noKeys struct{ store.Keys }

func (noKeys) Create(context.Context, store.Key, int, store.Change) error { return errDown }

func (noKeys) Lookup(context.Context, string) (store.Found, error) { return store.Found{}, errDown }

func (noKeys) List(context.Context, store.KeyQuery) (store.KeyPage, error) {
	return store.KeyPage{}, errDown
}

type noSettings struct{ store.Settings }

func (noSettings) Instance(context.Context) (store.Instance, error) { return store.Instance{}, errDown }

func (noSettings) Workspace(context.Context, string) (store.Workspace, error) {
	return store.Workspace{}, errDown
}

type noEvents struct{ store.Events }

func (noEvents) List(context.Context, store.EventQuery) (store.EventPage, error) {
	return store.EventPage{}, errDown
}

type noUsage struct{ store.Usage }

func (noUsage) Days(context.Context, string, string, time.Time, time.Time) ([]store.Count, error) {
	return nil, errDown
}
