package scale_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// side is a store with its keys, one of two that are compared.
type side struct {
	st     store.Store
	sample []int // numbers of keys all over the store
	login  *logins
	spent  int // ids of keys that were made and deleted
}

// sampled picks keys all over a store of that many.
func (s *side) sampled(keys, most int) {
	random := rand.New(rand.NewSource(int64(keys)))
	s.sample = s.sample[:0]
	for range min(keys, most) {
		s.sample = append(s.sample, random.Intn(keys))
	}
}

// task is what is measured, for the nth time.
type task struct {
	name string
	run  func(s *side, n int) error
	most int // times in a turn, unless it is 0
}

var tasks = []task{
	{name: "look-up", run: func(s *side, n int) error {
		_, err := s.st.Keys.Lookup(context.Background(), idOf(s.number(n)))
		return err
	}},
	{name: "page of one workspace", run: func(s *side, n int) error {
		return full(s.st.Keys.List(context.Background(), store.KeyQuery{Workspace: workspaceOf(s.number(n)), Limit: perWorkspace}))
	}},
	{name: "page of all", run: func(s *side, n int) error {
		after := s.number(n) / 2 // in the first half, so that a page is behind it
		return full(s.st.Keys.List(context.Background(), store.KeyQuery{
			Limit: perWorkspace, After: &store.KeyCursor{ID: idOf(after), Time: createdAt(after)},
		}))
	}},
	// Not as often as there is time for, for what was deleted leaves its mark.
	{name: "limit check", most: 200, run: func(s *side, n int) error {
		s.spent++
		k := keyOf(-s.spent)
		k.Workspace = workspaceOf(s.number(n))
		if err := s.st.Keys.Create(context.Background(), k, 10*perWorkspace, store.Change{Now: noon}); err != nil {
			return err
		}
		return s.st.Keys.Delete(context.Background(), k.Workspace, k.ID, 0, noon, store.Change{Now: noon})
	}},
	{name: "login", run: func(s *side, n int) error { return s.login.once(n) }},
}

func (s *side) number(n int) int { return s.sample[n%len(s.sample)] }

func full(page store.KeyPage, err error) error {
	if err == nil && len(page.Keys) != perWorkspace {
		return fmt.Errorf("a page of %d keys", len(page.Keys))
	}
	return err
}

// effort is for how long a task is measured.
type effort struct {
	turns int
	turn  time.Duration
}

// medians runs a task on both sides in turns and returns the median of what it
// took in the best turn of each: the machine is shared, and only that is
// anything like undisturbed.
func medians(e effort, sides [2]*side, do task) (best [2]time.Duration, err error) {
	best = [2]time.Duration{time.Hour, time.Hour}
	var calls [2]int
	for range e.turns {
		for i, s := range sides {
			var took []time.Duration
			for begun := time.Now(); len(took) < 5 || time.Since(begun) < e.turn && len(took) != do.most; {
				start := time.Now()
				if failed := do.run(s, calls[i]); failed != nil {
					return best, errors.Join(err, failed)
				}
				took = append(took, time.Since(start))
				calls[i]++
			}
			slices.Sort(took)
			best[i] = min(best[i], took[len(took)/2])
		}
	}
	return best, nil
}

// purge forgets the keys that limit checks deleted.
func (s *side) purge() error {
	_, err := s.st.Upkeep.Purge(context.Background(), noon.Add(time.Second))
	return err
}

// spent is what one call took in the fastest turn of each side: time, and
// processor time of this process.
type spent struct{ wall, cpu time.Duration }

// duel runs both sides in turns.
func duel(turns int, sides ...func(n int) error) ([]spent, error) {
	const turn = 60 * time.Millisecond
	best := make([]spent, len(sides))
	for i := range best {
		best[i] = spent{time.Hour, time.Hour}
	}
	n := 0
	for range turns {
		for i, run := range sides {
			calls := 0
			begin, used := time.Now(), processorTime()
			for time.Since(begin) < turn {
				for range 16 {
					if err := run(n); err != nil {
						return nil, err
					}
					n++
				}
				calls += 16
			}
			best[i].wall = min(best[i].wall, time.Since(begin)/time.Duration(calls))
			best[i].cpu = min(best[i].cpu, (processorTime()-used)/time.Duration(calls))
		}
	}
	return best, nil
}
