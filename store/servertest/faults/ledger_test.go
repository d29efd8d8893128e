package faults_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// ledger records what was acknowledged.
type ledger struct {
	hosts []*host

	mu      sync.Mutex
	made    map[string][]string // ids by workspace
	refused int
	wrong   []error
}

// fill creates n keys concurrently, more than the limit of the workspace, and returns how
// many failed for another reason than the limit. If full is true, it goes on in other
// workspaces until one fails.
func (l *ledger) fill(t *testing.T, workspace string, n int, full bool) int {
	t.Helper()
	l.refused, l.wrong = 0, nil
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { l.create(t, i, workspace) })
	}
	all.Wait()
	for i := 0; full && l.refused == 0 && i < 1000; i++ {
		l.create(t, i, fmt.Sprint(workspace, ", ", i))
	}
	require.Empty(t, l.wrong, "a change fails only because the store is unavailable or because of the limit")
	if full {
		require.Positive(t, l.refused, "the store is full")
	}
	return l.refused
}

func (l *ledger) create(t *testing.T, i int, workspace string) {
	began := time.Now()
	id, _, err := l.hosts[i%len(l.hosts)].create(t.Context(), workspace)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch took := time.Since(began); {
	case took > tooLong:
		l.wrong = append(l.wrong, fmt.Errorf("a change took %s", took))
	case err == nil:
		l.made[workspace] = append(l.made[workspace], id)
	case !acceptable(err):
		l.wrong = append(l.wrong, err)
	case !limited(err):
		l.refused++
	}
}

// check fills the workspace up to its limit, and checks that it has all acknowledged keys
// and no more keys than the limit.
func (l *ledger) check(t *testing.T, workspace string) {
	t.Helper()
	// Each dead connection of a pool makes one change fail.
	within := time.After(10 * backAfter)
	for l.fill(t, workspace, 2*maxKeys, false) > 0 {
		select {
		case <-within:
			require.Fail(t, "changes are refused after the fault")
		default:
		}
	}
	for workspace, acknowledged := range l.made {
		page, err := l.hosts[0].srv.APIKeys().List(t.Context(), admin, store.KeyQuery{Workspace: workspace})
		require.NoError(t, err)
		var there []string
		for _, k := range page.Keys {
			there = append(there, k.ID)
		}
		require.LessOrEqual(t, len(there), maxKeys, "the limit of %s", workspace)
		for _, id := range acknowledged {
			require.True(t, slices.Contains(there, id), "a key of %s that was acknowledged is lost", workspace)
		}
	}
	page, err := l.hosts[0].srv.APIKeys().List(t.Context(), admin, store.KeyQuery{Workspace: workspace})
	require.NoError(t, err)
	require.Len(t, page.Keys, maxKeys, "the limit of %s", workspace)
}
