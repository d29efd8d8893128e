package scale_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// TestPages compares pages of 100 entries of all workspaces with a page of one workspace, by
// elapsed time. The full form has 100,000 keys, or as many as LATCHKEY_SCALE says, and fails
// if a page takes more than twice as long.
func TestPages(t *testing.T) {
	keys, e := 1000, effort{1, 5 * time.Millisecond}
	if soak() {
		keys, e = min(100_000, sizes(t)[len(sizes(t))-1]), effort{8, 100 * time.Millisecond}
	}
	ctx := context.Background()
	expiry := func(number int) time.Time { // spread, and two thirds of the keys have none
		if number%3 > 0 {
			return time.Time{}
		}
		return noon.AddDate(1, 0, 0).Add(time.Duration(number*7919%keys) * time.Second)
	}
	after := func(number int) *store.KeyCursor {
		return &store.KeyCursor{ID: idOf(number), Time: expiry(number)}
	}
	one := task{name: "a page of one workspace", run: func(s *side, n int) error {
		return full(s.st.Keys.List(ctx, store.KeyQuery{Workspace: workspaceOf(s.number(n)), Limit: perWorkspace}))
	}}
	expiring := func(name string, q store.KeyQuery, place func(s *side, n int) *store.KeyCursor) task {
		return task{name: name, run: func(s *side, n int) error {
			q := q
			q.Sort, q.Limit, q.After = store.ByExpiry, perWorkspace, place(s, n)
			return full(s.st.Keys.List(ctx, q))
		}}
	}
	first := func(*side, int) *store.KeyCursor { return nil }
	pages := []task{
		expiring("by expiry", store.KeyQuery{}, first),
		expiring("by expiry, descending", store.KeyQuery{Descending: true}, first),
		// A third of the keys expires, and most of the others follow the cursor.
		expiring("by expiry, behind a cursor", store.KeyQuery{}, func(s *side, n int) *store.KeyCursor { return after(s.number(n) / 3 * 3) }),
		{name: "of workspaces", run: func(s *side, n int) error {
			page, err := s.st.Workspaces.List(ctx, workspaceOf(s.number(n)/2), perWorkspace)
			if err == nil && len(page.Workspaces) == 0 {
				err = fmt.Errorf("an empty page")
			}
			return err
		}},
	}
	for _, r := range rigs {
		t.Run(r.name, func(t *testing.T) {
			rig := r.start(t, nil)
			s := rig.open(t)
			require.NoError(t, fillWith(t.Context(), s.store, 0, keys, func(number int) store.Key {
				k := keyOf(number)
				k.NotAfter = expiry(number)
				return k
			}))
			s.settle(t)
			side := &side{st: s.store}
			side.sampled(keys, 2*few)
			for _, page := range pages {
				best, err := alternate(e, side, one, page)
				require.NoError(t, err, page.name)
				ratio := float64(best[1]) / float64(best[0])
				t.Logf("%s, %d keys: a page %s takes %s, %.2f times as long as one of a workspace", r.name, keys, page.name, best[1], ratio)
				if soak() && ratio > 2 {
					t.Errorf("%s: a page %s takes %.1f times as long", r.name, page.name, ratio)
				}
			}
		})
	}
}
