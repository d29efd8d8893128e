package sqlstore_test

import (
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// noon is the current time in these tests.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patience bounds the wait for something that should happen at once.
const patience = 30 * time.Second

// key returns a typical key.
func key(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "deployment of " + id,
		Permissions: scope.MustParse("project.list project.read"), RequestedPermissions: scope.MustParse("project.*"),
		Credentials: []store.Credential{{ID: "s1-" + id, Hint: "Ab1x", Digest: "hmac-sha256$1$c2VjcmV0", Generated: true, Created: noon}},
		NotAfter:    noon.AddDate(0, 3, 0),
		CreatedBy:   store.ActorRef{Kind: "owner", ID: "person-1"}, Created: noon, Updated: noon, Version: 1,
	}
}

// event returns a change with an event of the given id.
func event(name string) store.Change {
	return store.Change{Now: noon, Events: []store.Event{{
		ID: name, Time: noon, Actor: store.ActorRef{Kind: "owner", ID: "person-1"}, Action: "key.change", Workspace: "team-a",
	}}}
}

// race calls do n times concurrently.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-gate
			errs[i] = do(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	return errs
}
