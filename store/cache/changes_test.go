package cache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// hooks are called around each change in the store: before it is written, and
// when it is written and its answer on the way.
type hooks struct{ before, after func() }

func (h *hooks) around(change func() error) error {
	if h.before != nil {
		h.before()
	}
	err := change()
	if h.after != nil {
		h.after()
	}
	return err
}

// hooked returns st with its changes going through the hooks.
func hooked(st store.Store, h *hooks) store.Store {
	st.Epochs = hookedEpochs{st.Epochs, st.Keys, h}
	st.Keys = hookedKeys{st.Keys, h}
	st.Settings = hookedSettings{st.Settings, h}
	st.Upkeep = hookedUpkeep{st.Upkeep, h}
	return st
}

type hookedKeys struct {
	store.Keys
	h *hooks
}

func (k hookedKeys) Create(ctx context.Context, key store.Key, limit int, c store.Change) error {
	return k.h.around(func() error { return k.Keys.Create(ctx, key, limit, c) })
}

func (k hookedKeys) Update(ctx context.Context, key store.Key, c store.Change) error {
	return k.h.around(func() error { return k.Keys.Update(ctx, key, c) })
}

func (k hookedKeys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	return k.h.around(func() error { return k.Keys.Delete(ctx, workspace, id, version, at, c) })
}

type hookedSettings struct {
	store.Settings
	h *hooks
}

func (s hookedSettings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	return s.h.around(func() error { return s.Settings.SetInstance(ctx, in, c) })
}

func (s hookedSettings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	return s.h.around(func() error { return s.Settings.SetWorkspace(ctx, w, c) })
}

func (s hookedSettings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	return s.h.around(func() error { return s.Settings.DeleteWorkspace(ctx, id, at, c) })
}

type hookedUpkeep struct {
	store.Upkeep
	h *hooks
}

func (u hookedUpkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	return u.h.around(func() error { return u.Upkeep.Rehash(ctx, keyID, secretID, from, to) })
}

type hookedEpochs struct {
	store.Epochs
	keys store.Keys
	h    *hooks
}

func (e hookedEpochs) With(store.Keys) bool { return e.Epochs.With(e.keys) }

func (e hookedEpochs) Raise(ctx context.Context, marks ...store.Mark) error {
	return e.h.around(func() error { return e.Epochs.Raise(ctx, marks...) })
}

func (e hookedEpochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	return e.h.around(func() error { return e.Epochs.Revoke(ctx, tokenID, until, now) })
}

// deaf is a cache with key-1 in memory whose stream never tells anything.
func deaf(t *testing.T, h *hooks) store.Store {
	t.Helper()
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	stream := newLine(below.Watch)
	below.Watch = stream
	st := cached(t, hooked(below, h), patient)
	stream.set(func(l *line) { l.frozen = true })
	known(t, st)
	return st
}

// known brings all that changes are about into memory.
func known(t *testing.T, st store.Store) {
	t.Helper()
	warm(t, st)
	_, err := st.Keys.Lookup(background, "key-2")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// What a change through the cache did is seen by every read that begins after
// it returned, and by those that begin after it was written unless the old
// record was read again in between.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	for _, tc := range changes {
		t.Run(tc.name, func(t *testing.T) {
			st := deaf(t, &hooks{})
			tc.change(t, st)
			tc.see(t, st)
		})
		if tc.name == "Touch" {
			continue // it tells of nothing that anybody must know
		}
		t.Run(tc.name+", written, its answer on the way", func(t *testing.T) {
			h := &hooks{}
			st := deaf(t, h)
			done := 0
			h.after = func() { tc.see(t, st); done++ }
			tc.change(t, st)
			require.Equal(t, 1, done)
		})
		t.Run(tc.name+", the old record read again meanwhile", func(t *testing.T) {
			h := &hooks{}
			st := deaf(t, h)
			h.before = func() { known(t, st) }
			tc.change(t, st)
			tc.see(t, st)
		})
	}
}

// The other cache knows of a change from its stream only.
func TestChangesElsewhereAreSeenWhenTold(t *testing.T) {
	for _, tc := range changes {
		if tc.name == "Touch" {
			continue // uses are not told
		}
		t.Run(tc.name, func(t *testing.T) {
			below := memstore.New()
			create(t, below, newKey("team-a", "key-1"))
			st, elsewhere := cached(t, below, patient), cached(t, below, patient)
			known(t, st)
			heard := watching(t, st)
			tc.change(t, elsewhere)
			heard.await(tc.notices)
			tc.see(t, st)
		})
	}
}

// A change whose outcome is unknown is read again too: here it was written,
// and its answer was lost.
func TestAFailedChangeIsReadAgain(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	stream := newLine(below.Watch)
	below.Watch, below.Keys = stream, lostAnswers{below.Keys}
	st := cached(t, below, patient)
	stream.set(func(l *line) { l.frozen = true })
	found, err := st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	disable(&found.Key)
	require.ErrorIs(t, st.Keys.Update(background, found.Key, store.Change{}), store.ErrUnavailable)
	found, err = st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

// lostAnswers writes and then fails.
type lostAnswers struct{ store.Keys }

func (k lostAnswers) Update(ctx context.Context, key store.Key, c store.Change) error {
	if err := k.Keys.Update(ctx, key, c); err != nil {
		return err
	}
	return store.ErrUnavailable
}

// A database may take one id for another. What it finds is of the key that is
// there, and so are its notices: under the other name nobody would forget it.
func TestAnotherKeyThanAskedForIsNotKept(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	caseless := below
	caseless.Keys = caselessKeys{below.Keys}
	st := cached(t, caseless, patient)
	for range 2 {
		found, err := st.Keys.Lookup(background, "KEY-1")
		require.NoError(t, err)
		require.Equal(t, "key-1", found.Key.ID)
	}
	heard := watching(t, st)
	update(t, below, "key-1", disable)
	heard.await(1)
	found, err := st.Keys.Lookup(background, "KEY-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

type caselessKeys struct{ store.Keys }

func (k caselessKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	return k.Keys.Lookup(ctx, strings.ToLower(id))
}
