package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// patience is how long a test waits for a notification before it fails.
const patience = time.Minute

func watchRules() []rule {
	return []rule{
		{
			name: "sends a notification for every change",
			why:  "A watcher gets a notification of each change that is committed after ready, with its kind and the names of what changed.",
			run: func(t tester, s store.Store) {
				w := listen(t, s)
				defer w.stop()
				create(t, s, newKey("team-a", "key-1"))
				w.expect(t, "Create", store.NotificationKey, "team-a", "key-1")
				update(t, s, newKey("team-a", "key-1"))
				w.expect(t, "Update", store.NotificationKey, "team-a", "key-1")
				must(t, "Rehash", s.Upkeep.Rehash(background, "key-1", "s1-key-1", newKey("team-a", "key-1").Credentials[0].Digest, "better"))
				w.expect(t, "Rehash", store.NotificationKey, "team-a", "key-1")
				remove(t, s, "team-a", "key-1")
				w.expect(t, "Delete", store.NotificationKey, "team-a", "key-1")
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{}, store.Change{}))
				w.expect(t, "SetInstance", store.NotificationInstance, "", "")
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a"}, store.Change{}))
				w.expect(t, "SetWorkspace", store.NotificationWorkspace, "team-a", "")
				deleteWorkspace(t, s, "team-a")
				w.expect(t, "DeleteWorkspace", store.NotificationWorkspace, "team-a", "")
				if s.SigningKeys != nil {
					must(t, "SetRing", s.SigningKeys.SetRing(background, store.Ring{}))
					w.expect(t, "SetRing", store.NotificationSigningKeys, "", "")
				}
				if s.Epochs != nil {
					must(t, "Revoke", s.Epochs.Revoke(background, "token-1", farAhead, noon))
					n := w.next(t, "Revoke")
					n.Sequence = 0
					equal(t, "Revoke: notification", n, store.Notification{Kind: store.NotificationToken, Token: "token-1"})
				}
			},
		},
		{
			name: "a change is visible when its notification comes",
			why:  "A notification comes after its change: a read after the notification returns the new record.",
			run: func(t tester, s store.Store) {
				w := listen(t, s)
				defer w.stop()
				for i := range 10 {
					id := fmt.Sprint("key-", i)
					done := make(chan error, 1)
					go func() { done <- s.Keys.Create(background, newKey("team-a", id), store.NoLimit, store.Change{}) }()
					w.expect(t, "Create", store.NotificationKey, "team-a", id)
					lookup(t, s, id)
					must(t, "Create", <-done)
				}
			},
		},
		{
			name: "sequence numbers rise by one",
			why:  "Sequence rises by one with each notification of a stream, so that a gap shows a loss; a heartbeat repeats the last one.",
			run: func(t tester, s store.Store) {
				w := listen(t, s)
				defer w.stop()
				for i := range 20 {
					create(t, s, newKey("team-a", fmt.Sprint("key-", i)))
				}
				var last store.Notification
				for i := range 20 {
					n := w.next(t, "Create")
					if i > 0 && n.Sequence != last.Sequence+1 {
						t.Errorf("sequence %d follows %d", n.Sequence, last.Sequence)
					}
					last = n
				}
			},
		},
		{
			name: "heartbeats repeat the last number",
			why:  "The first notification is a heartbeat and others follow, each with the number of the last change: silence shows a broken stream, and a higher number than that of the last notification shows a loss.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				w := listen(t, s)
				defer w.stop()
				first := w.any(t, "the first notification")
				equal(t, "its kind", first.Kind, store.NotificationHeartbeat)
				create(t, s, newKey("team-a", "key-2"))
				n := w.next(t, "Create")
				equal(t, "the number after a heartbeat", n.Sequence, first.Sequence+1)
				for range 2 {
					heartbeat := w.any(t, "a heartbeat")
					equal(t, "kind", heartbeat.Kind, store.NotificationHeartbeat)
					equal(t, "number of a heartbeat", heartbeat.Sequence, n.Sequence)
				}
			},
		},
		{
			name: "a refused change sends no notification",
			why:  "Only a committed change sends a notification.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				w := listen(t, s)
				defer w.stop()
				_ = s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, store.Change{})
				_ = s.Keys.Update(background, newKey("team-b", "key-1"), store.Change{})
				_ = s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: 7}}, store.Change{})
				create(t, s, newKey("team-a", "key-2"))
				w.expect(t, "the first notification", store.NotificationKey, "team-a", "key-2")
			},
		},
		{
			name: "every watcher gets every notification",
			why:  "Each stream gets every notification, whatever other watchers there are or were.",
			run: func(t tester, s store.Store) {
				one, two, ended := listen(t, s), listen(t, s), listen(t, s)
				defer one.stop()
				defer two.stop()
				_ = ended.stop()
				create(t, s, newKey("team-a", "key-1"))
				one.expect(t, "first watcher", store.NotificationKey, "team-a", "key-1")
				two.expect(t, "second watcher", store.NotificationKey, "team-a", "key-1")
			},
		},
		{
			name: "ends with its context",
			why:  "Watch returns the reason why it ended. With a context that has ended it never calls ready.",
			run: func(t tester, s store.Store) {
				w := listen(t, s)
				if err := w.stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("Watch returned %v, want context.Canceled", err)
				}
				ended, cancel := context.WithCancel(background)
				cancel()
				err := s.Watch.Watch(ended, func() { t.Errorf("ready was called") }, func(store.Notification) {})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Watch returned %v, want context.Canceled", err)
				}
			},
		},
	}
}

// watcher runs Watch and returns its notifications one by one.
type watcher struct {
	notifications chan store.Notification
	ended         chan error
	cancel        context.CancelFunc
}

// listen starts a watcher, and returns when its stream is ready.
func listen(t tester, s store.Store) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(background)
	w := &watcher{notifications: make(chan store.Notification, 1000), ended: make(chan error, 1), cancel: cancel}
	ready := make(chan struct{})
	go func() {
		w.ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) { w.notifications <- n })
	}()
	select {
	case <-ready:
	case err := <-w.ended:
		cancel()
		t.Fatalf("Watch ended before it was ready: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatalf("Watch was not ready within %s", patience)
	}
	return w
}

func (w *watcher) stop() error {
	w.cancel()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		return errors.New("the stream did not end with its context")
	}
}

// next returns the next notification that is not a heartbeat.
func (w *watcher) next(t tester, what string) store.Notification {
	t.Helper()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		if n := w.any(t, what); n.Kind != store.NotificationHeartbeat {
			return n
		}
	}
	t.Fatalf("%s: nothing but heartbeats within %s", what, patience)
	return store.Notification{}
}

// any returns the next notification of any kind.
func (w *watcher) any(t tester, what string) store.Notification {
	t.Helper()
	select {
	case n := <-w.notifications:
		return n
	case err := <-w.ended:
		w.ended <- err
		t.Fatalf("%s: the stream ended: %v", what, err)
	case <-time.After(patience):
		t.Fatalf("%s: no notification within %s", what, patience)
	}
	return store.Notification{}
}

func (w *watcher) expect(t tester, what string, kind store.NotificationKind, workspace, key string) {
	t.Helper()
	n := w.next(t, what)
	n.Sequence = 0
	equal(t, what+": notification", n, store.Notification{Kind: kind, Workspace: workspace, Key: key})
}
