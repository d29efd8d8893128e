package cache_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// issued returns a token of key-1 with the epochs of the store, plus more.
func (h *harness) issued(more int64) store.TokenRef {
	h.Helper()
	ref := token("key-1")
	s, err := h.below.Epochs.Read(background, ref)
	require.NoError(h, err)
	ref.Epochs = [3]int64{s.Instance + more, s.Workspace + more, s.Key + more}
	return ref
}

// read reads the token's epochs, and returns how many reads of the store that took.
func (h *harness) read(ref store.TokenRef) (store.EpochState, int) {
	h.Helper()
	h.tap.Take()
	s, err := h.st.Reads().Read(background, ref)
	require.NoError(h, err)
	return s, h.tap.Take()["Epochs.Read"]
}

// freeze loses all notifications from now on.
func (h *harness) freeze() { h.faultyStream.set(func(l *faultyStream) { l.frozen = true }) }

// A token was issued by another process, right after a change that raised an epoch, and
// arrives here before the notification.
func TestHigherEpochs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h *harness)
		fresh  func(found store.Found) bool
	}{
		{"the key's", func(h *harness) { update(h.T, h.below, "key-1", disable) },
			func(found store.Found) bool { return found.Key.Disabled }},
		{"the workspace's", func(h *harness) { setWorkspace(h.T, h.below, suspend) },
			func(found store.Found) bool { return found.Workspace.Suspended }},
		{"the instance's", func(h *harness) { setInstance(h.T, h.below, keysOff) },
			func(found store.Found) bool { return found.Instance.KeysOff }},
	} {
		t.Run("B30 "+tc.name, func(t *testing.T) {
			withHarness(t, func(h *harness) {
				h.freeze()
				tc.change(h)
				ref := h.issued(0)
				s, _ := h.read(ref)
				require.Equal(h, ref.Epochs, [3]int64{s.Instance, s.Workspace, s.Key})
				_, reads := h.read(ref)
				require.Zero(h, reads)
				found, err := h.by.find(background, h.st, "key-1")
				require.NoError(h, err)
				require.True(h, tc.fresh(found), "its cached record was outdated, too")
			})
		})
	}
	t.Run("B30 the epochs of other keys stay cached", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			_, err := h.st.Reads().Read(background, token("key-2"))
			require.NoError(h, err)
			h.freeze()
			update(h.T, h.below, "key-1", disable)
			h.read(h.issued(0))
			_, reads := h.read(token("key-2"))
			require.Zero(h, reads)
		})
	})
	t.Run("B30 a read that began before the change does not decide", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.freeze()
			entered, release := holdOne(h.tap, "Epochs.Read")
			other := h.issued(1)
			go func() { _, _ = h.st.Reads().Read(background, other) }()
			<-entered
			update(h.T, h.below, "key-1", disable)
			ref := h.issued(0)
			got := make(chan store.EpochState, 1)
			go func() {
				s, _ := h.st.Reads().Read(background, ref)
				got <- s
			}()
			synctest.Wait()
			close(release)
			require.Equal(h, ref.Epochs[2], (<-got).Key)
		})
	})
	t.Run("B30 other tokens use what the read for one token found", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			tokens := []string{"token-0", "token-1", "token-2"}
			for _, id := range tokens {
				ref := h.issued(0)
				ref.TokenID = id
				h.read(ref)
			}
			h.freeze()
			update(h.T, h.below, "key-1", disable)
			_, release := holdOne(h.tap, "Epochs.Read")
			refs, done := []store.TokenRef{}, make(chan error, len(tokens))
			for _, id := range tokens {
				ref := h.issued(0)
				ref.TokenID = id
				refs = append(refs, ref)
				go func() {
					_, err := h.st.Reads().Read(background, ref)
					done <- err
				}()
			}
			synctest.Wait()
			close(release)
			for range tokens {
				require.NoError(h, <-done)
			}
			for _, ref := range refs {
				_, reads := h.read(ref)
				require.Zero(h, reads)
			}
		})
	})
	t.Run("B30 the key was deleted", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			ref := h.issued(1)
			h.freeze()
			require.NoError(h, h.below.Keys.Delete(background, "team-a", "key-1", 0, noon, atNoon))
			for range 2 {
				h.tap.Take()
				_, err := h.st.Reads().Read(background, ref)
				require.ErrorIs(h, err, store.ErrNotFound)
			}
			require.Empty(h, h.tap.Take())
			_, err := h.by.find(background, h.st, "key-1")
			require.ErrorIs(h, err, store.ErrNotFound, "its cached record was outdated, too")
		})
	})
	t.Run("B30 an outage is returned", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			ref := h.issued(1)
			down(h.tap)
			s, err := h.st.Reads().Read(background, ref)
			require.ErrorIs(h, err, store.ErrUnavailable)
			require.Zero(h, s)
		})
	})
}

// After a restored backup the epochs of the store stay lower than those of some tokens.
func TestRestoredBackup(t *testing.T) {
	t.Run("B30 each refusal takes a read", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			want, _ := h.read(token("key-1"))
			for _, which := range []int{0, 1, 2} {
				ref := h.issued(0)
				ref.Epochs[which]++
				for range 3 {
					s, reads := h.read(ref)
					require.Equal(h, want, s)
					require.Equal(h, 1, reads)
				}
			}
		})
	})
	t.Run("B30 lower epochs take no read", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			want, _ := h.read(token("key-1"))
			for _, less := range []int64{0, 1, 1000} {
				s, reads := h.read(h.issued(-less))
				require.Equal(h, want, s)
				require.Zero(h, reads)
			}
		})
	})
	t.Run("B30 one read at a time for each key", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			const flood = 200
			var refs []store.TokenRef
			for i := range flood {
				ref := h.issued(1)
				ref.TokenID = fmt.Sprint("token-", i%5)
				refs = append(refs, ref)
				h.read(ref) // the first read of the token
			}
			other := token("key-2")
			other.Epochs = [3]int64{1 << 60, 1 << 60, 1 << 60}
			h.read(other)
			h.tap.Take()

			const takes = 100 * time.Millisecond
			h.tap.Before(func(context.Context, string) error {
				time.Sleep(takes) //nolint:forbidigo // the bubble's clock
				return nil
			})
			done := make(chan error, flood+1)
			for _, ref := range append(refs, other) {
				go func() {
					_, err := h.st.Reads().Read(background, ref)
					done <- err
				}()
			}
			synctest.Wait()
			require.Equal(h, map[string]int{"Epochs.Read": 2}, h.tap.Take(), "one for each key")
			pass(takes)
			require.Equal(h, map[string]int{"Epochs.Read": 1}, h.tap.Take(), "callers that shared the first read share a second")
			pass(takes)
			require.Empty(h, h.tap.Take())
			for range flood + 1 {
				require.NoError(h, <-done)
			}
		})
	})
}

// If the store fails right after a notification, reads return an outage, not an empty record.
func TestAFailureAfterANotification(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h *harness)
		lookup bool // a look-up needs the store
	}{
		{"of a key", func(h *harness) { update(h.T, h.below, "key-1", disable) }, true},
		{"of a workspace", func(h *harness) { setWorkspace(h.T, h.below, suspend) }, true},
		{"of the instance", func(h *harness) { setInstance(h.T, h.below, keysOff) }, true},
		{"of a token", func(h *harness) {
			require.NoError(h, h.below.Epochs.Revoke(background, token("key-1").TokenID, noon.Add(time.Hour), noon))
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withHarness(t, func(h *harness) {
				tc.change(h)
				synctest.Wait()
				down(h.tap)
				s, err := h.st.Reads().Read(background, token("key-1"))
				require.ErrorIs(h, err, store.ErrUnavailable)
				require.Zero(h, s)
				if tc.lookup {
					found, err := h.by.find(background, h.st, "key-1")
					require.ErrorIs(h, err, store.ErrUnavailable)
					require.Zero(h, found)
				}
				h.tap.Before(nil)
				want, err := h.below.Epochs.Read(background, token("key-1"))
				require.NoError(h, err)
				require.Equal(h, want, epochsOf(h.T, h.st), "nothing was cached")
				require.Equal(h, stored(h.T, h.below), lookUp(h.T, h.st, h.by))
			})
		})
	}
}
