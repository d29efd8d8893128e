package harness

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

type tappedEvents struct {
	store.Events
	t *Tap
}

func (e tappedEvents) Append(ctx context.Context, events ...store.Event) error {
	return change(ctx, e.t, "Events.Append", func() error { return e.Events.Append(ctx, events...) })
}

func (e tappedEvents) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	return through(ctx, e.t, "Events.List", func() (store.EventPage, error) { return e.Events.List(ctx, q) })
}

func (e tappedEvents) Prune(ctx context.Context, before time.Time) (int, error) {
	return through(ctx, e.t, "Events.Prune", func() (int, error) { return e.Events.Prune(ctx, before) })
}

type tappedEpochs struct {
	store.Epochs
	t *Tap
}

// With is asked of the keys below the tap.
func (e tappedEpochs) With(keys store.Keys) bool {
	if tapped, ok := keys.(tappedKeys); ok {
		keys = tapped.Keys
	}
	return e.Epochs.With(keys)
}

func (e tappedEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	return through(ctx, e.t, "Epochs.Read", func() (store.EpochState, error) { return e.Epochs.Read(ctx, ref) })
}

func (e tappedEpochs) Raise(ctx context.Context, marks ...store.Mark) error {
	return change(ctx, e.t, "Epochs.Raise", func() error { return e.Epochs.Raise(ctx, marks...) })
}

func (e tappedEpochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	return change(ctx, e.t, "Epochs.Revoke", func() error { return e.Epochs.Revoke(ctx, tokenID, until, now) })
}

type tappedSigningKeys struct {
	store.SigningKeys
	t *Tap
}

func (k tappedSigningKeys) Ring(ctx context.Context) (store.Ring, error) {
	return through(ctx, k.t, "SigningKeys.Ring", func() (store.Ring, error) { return k.SigningKeys.Ring(ctx) })
}

func (k tappedSigningKeys) SetRing(ctx context.Context, r store.Ring) error {
	return change(ctx, k.t, "SigningKeys.SetRing", func() error { return k.SigningKeys.SetRing(ctx, r) })
}

type tappedOnceIDs struct {
	store.OnceIDs
	t *Tap
}

func (o tappedOnceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	return change(ctx, o.t, "OnceIDs.Spend", func() error { return o.OnceIDs.Spend(ctx, id, now) })
}

func (o tappedOnceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	return through(ctx, o.t, "OnceIDs.Find", func() (store.OnceID, error) { return o.OnceIDs.Find(ctx, space, id, now) })
}

type tappedUsage struct {
	store.Usage
	t *Tap
}

func (u tappedUsage) Add(ctx context.Context, counts []store.Count) error {
	return change(ctx, u.t, "Usage.Add", func() error { return u.Usage.Add(ctx, counts) })
}

func (u tappedUsage) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	return through(ctx, u.t, "Usage.Days", func() ([]store.Count, error) { return u.Usage.Days(ctx, workspace, key, from, to) })
}

func (u tappedUsage) Prune(ctx context.Context, before time.Time) (int, error) {
	return through(ctx, u.t, "Usage.Prune", func() (int, error) { return u.Usage.Prune(ctx, before) })
}
