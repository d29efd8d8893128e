package storetest

import (
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

func hasWatch(s store.Store) bool { return s.Watch != nil }

func replicaWatches() []replicaRule {
	return []replicaRule{
		{
			name:  "each replica gets the notifications of the others",
			why:   "A watcher of one replica gets a notification of each change by another, and can read the change by then.",
			needs: hasWatch,
			run: func(t tester, r []store.Store) {
				watchers := listenAll(t, r)
				defer stopAll(watchers)
				for i := range 2 * len(r) {
					id := fmt.Sprint("key-", i)
					create(t, of(r, i), newKey("team-a", id))
					for n, w := range watchers {
						w.expect(t, fmt.Sprintf("replica %d, Create by replica %d", n, i%len(r)), store.NotificationKey, "team-a", id)
						lookup(t, r[n], id)
					}
				}
			},
		},
		{
			name:  "sequence numbers over all replicas",
			why:   "Concurrent changes by all replicas leave no gap and no duplicate in any stream: the number of each notification is one higher than the one before, and heartbeats repeat the last one.",
			needs: hasWatch,
			run: func(t tester, r []store.Store) {
				const creates = 30
				watchers := listenAll(t, r)
				defer stopAll(watchers)
				errs := race(creates, func(i int) error {
					return of(r, i).Keys.Create(background, newKey(fmt.Sprint("team-", i%4), fmt.Sprint("key-", i)), store.NoLimit, store.Change{Now: noon})
				})
				for _, err := range errs {
					must(t, "Create", err)
				}
				for n, w := range watchers {
					wantStream(t, fmt.Sprintf("replica %d", n), w, creates)
				}
			},
		},
	}
}

// wantStream reads the given number of notifications, each of another key.
func wantStream(t tester, what string, w *watcher, notifications int) {
	t.Helper()
	seen := map[string]bool{}
	last := w.any(t, what)
	equal(t, what+": kind of the first notification", last.Kind, store.NotificationHeartbeat)
	for len(seen) < notifications && !t.Failed() {
		n := w.next(t, what)
		equal(t, what+": sequence", n.Sequence, last.Sequence+1)
		if seen[n.Key] {
			t.Errorf("%s gets two notifications of %s", what, n.Key)
		}
		seen[n.Key], last = true, n
	}
	for range 2 {
		heartbeat := w.any(t, what+": a heartbeat")
		equal(t, what+": kind after the last notification", heartbeat.Kind, store.NotificationHeartbeat)
		equal(t, what+": number of a heartbeat", heartbeat.Sequence, last.Sequence)
	}
}

func listenAll(t tester, r []store.Store) []*watcher {
	t.Helper()
	var all []*watcher
	for _, s := range r {
		all = append(all, listen(t, s))
	}
	return all
}

func stopAll(watchers []*watcher) {
	for _, w := range watchers {
		_ = w.stop()
	}
}
