package faults_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
)

// The documented bounds: a login is answered within a second, and the server works again
// by itself within five. Tests allow ten times as much.
const (
	lasts     = 1600 * time.Millisecond // longer than a cache may answer
	backAfter = 5 * time.Second
	tooLong   = 10 * time.Second
)

// TestFaults makes every store fail in every way that applies to it, and prints what an
// authorization server answered meanwhile. With LATCHKEY_UPDATE=1 it writes the table into
// store/README.md.
func TestFaults(t *testing.T) {
	var table table
	t.Cleanup(func() { table.publish(t) })
	for _, start := range rigs {
		t.Run(start.name, func(t *testing.T) {
			t.Parallel()
			r := start.start(t)
			r.name = start.name
			labelled(r.name, func() { hurt(t, r, &table) })
		})
	}
}

func hurt(t *testing.T, r *rig, table *table) {
	hosts := []*host{
		newHost(t, "direct", r, func(st store.Store) store.Store { return st }),
		newHost(t, "cached", r, func(st store.Store) store.Store {
			cached, err := cache.New(st, cache.Config{Logger: quiet})
			require.NoError(t, err)
			return cached.Store()
		}),
	}
	acknowledged := &ledger{hosts: hosts, made: map[string][]string{}}
	warm(hosts)
	before, _ := goroutines(r.name)
	for _, f := range faults {
		if !f.fits(r) {
			continue
		}
		t.Run(f.title(), func(t *testing.T) {
			table.add(runFault(t, r, f, hosts, acknowledged))
		})
		if t.Failed() {
			return
		}
		requireNoLeaks(t, r, hosts, before)
	}
}

// runFault starts and ends a fault under load.
func runFault(t *testing.T, r *rig, f fault, hosts []*host, acknowledged *ledger) row {
	stop := make(chan struct{})
	seen := make([]sighting, len(hosts))
	var load sync.WaitGroup
	for i, h := range hosts {
		load.Go(func() { seen[i] = h.askOn(t, r, f, stop) })
	}
	f.begin(t, r)
	began := time.Now()
	workspace := "limited by " + f.name
	changes := 3 * maxKeys
	if f.alone {
		changes = 1
	}
	refused := acknowledged.fill(t, workspace, changes, f.full)
	wait := time.NewTimer(time.Until(began.Add(lasts)))
	<-wait.C
	close(stop)
	load.Wait()
	ended := time.Now()
	f.end(t, r)

	result := row{fault: f.name, store: r.name, refused: refused}
	for i, h := range hosts {
		for _, a := range seen[i].logins {
			h.check(t, "login", a, http.StatusOK)
		}
		for _, a := range seen[i].guarded {
			h.check(t, "guarded route", a, passed)
		}
		from := time.Time{}
		if f.down {
			from = began
		}
		if f.down && h.name == "cached" {
			from = began.Add(cache.DefaultBound)
		}
		login, guarded := statuses(seen[i].logins, from), statuses(seen[i].guarded, from)
		if f.down {
			require.Equal(t, []int{http.StatusServiceUnavailable}, login, "login of %s while nothing can be read", h.name)
			require.Equal(t, []int{http.StatusServiceUnavailable}, guarded, "guarded route of %s while nothing can be read", h.name)
		}
		result.answers = append(result.answers, cell(login), cell(guarded))
		result.slowest = max(result.slowest, slowest(seen[i].logins), slowest(seen[i].guarded))
	}
	result.back = waitForRecovery(t, r, hosts, ended, f)
	acknowledged.check(t, workspace)
	return result
}

// sighting is what was seen of a host: its answers.
type sighting struct{ logins, guarded []answer }

// askOn logs in and calls a guarded route until stop is closed.
func (h *host) askOn(t *testing.T, r *rig, f fault, stop <-chan struct{}) (seen sighting) {
	repeat := func(do func() answer) (list []answer) {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for last := false; !last; {
			select {
			case <-stop:
				last = true // one more request comes at the end
			case <-pace.C:
			}
			if f.during != nil {
				f.during(t, r)
			}
			list = append(list, do())
		}
		return list
	}
	var both sync.WaitGroup
	both.Go(func() { seen.logins = repeat(h.login) })
	both.Go(func() { seen.guarded = repeat(h.guarded) })
	both.Wait()
	return seen
}

// statuses returns the statuses of requests that began at or after from.
func statuses(answers []answer, from time.Time) []int {
	var list []int
	for _, a := range answers {
		if !a.began.Before(from) {
			list = append(list, a.status)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func slowest(answers []answer) (took time.Duration) {
	for _, a := range answers {
		took = max(took, a.took)
	}
	return took
}

// waitForRecovery waits until every call of every host succeeds again, and returns how
// long that took.
func waitForRecovery(t *testing.T, r *rig, hosts []*host, ended time.Time, f fault) time.Duration {
	t.Helper()
	attempt := 0
	defer func() {
		if t.Failed() {
			_, stacks := goroutines(r.name)
			t.Log(stacks)
		}
	}()
	require.Eventually(t, func() bool {
		attempt++
		for _, h := range hosts {
			_, _, err := h.create(t.Context(), fmt.Sprintf("after %s %s %d", f.name, h.name, attempt))
			if err != nil || h.login().status != http.StatusOK || h.guarded().status != passed {
				return false
			}
		}
		return true
	}, 10*backAfter, 10*time.Millisecond, "the server works again by itself")
	return time.Since(ended)
}

// warm opens the connections of each host.
func warm(hosts []*host) {
	var all sync.WaitGroup
	for _, h := range hosts {
		for range 4 * connections {
			all.Go(func() { h.login(); h.guarded() })
		}
	}
	all.Wait()
}

// requireNoLeaks waits until no goroutines and connections of a fault are left.
func requireNoLeaks(t *testing.T, r *rig, hosts []*host, before int) {
	t.Helper()
	const slack = 2 * connections // a pool may have more connections than before
	var now int
	var stacks string
	require.Eventually(t, func() bool {
		now, stacks = goroutines(r.name)
		return now <= before+slack
	}, 10*backAfter, 50*time.Millisecond)
	if now > before+slack {
		t.Log(stacks)
	}
	for _, h := range hosts {
		// The stream of changes uses one from time to time.
		require.Eventually(t, func() bool { return h.busy() == 0 }, 10*backAfter, time.Millisecond, "connections of %s are not returned to the pool", h.name)
	}
	if r.proxy != nil {
		require.Eventually(t, func() bool { return r.proxy.Open() <= len(hosts)*(connections+slack) }, 10*backAfter, time.Millisecond,
			"connections are left over")
	}
}
