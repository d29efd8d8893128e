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

// side is one of two stores that are compared.
type side struct {
	st     store.Store
	sample []int // numbers of keys, spread over the store
	login  *logins
	spent  int // how many ids were used by keys that were created and deleted
}

// sampled chooses up to most keys, spread over a store of the given number.
func (s *side) sampled(keys, most int) {
	random := rand.New(rand.NewSource(int64(keys)))
	s.sample = s.sample[:0]
	for range min(keys, most) {
		s.sample = append(s.sample, random.Intn(keys))
	}
}

// task is an operation that is measured. run runs it for the nth time.
type task struct {
	name string
	run  func(s *side, n int) error
	most int // unless 0, the largest number of runs in a turn
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
		after := s.number(n) / 2 // in the first half, so that a full page follows it
		return full(s.st.Keys.List(context.Background(), store.KeyQuery{
			Limit: perWorkspace, After: &store.KeyCursor{ID: idOf(after), Time: createdAt(after)},
		}))
	}},
	// The number of runs is bounded, since deleted keys leave tombstones.
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

// effort is how long a task is measured.
type effort struct {
	turns int
	turn  time.Duration
}

// medians runs a task on both sides in turns, and returns the median of the best turn of
// each side. The machine is shared, so the best turn is the least disturbed one.
func medians(e effort, sides [2]*side, do task) ([2]time.Duration, error) {
	return mediansOf(e, sides, [2]task{do, do})
}

// alternate is medians for two tasks on one side.
func alternate(e effort, s *side, a, b task) ([2]time.Duration, error) {
	return mediansOf(e, [2]*side{s, s}, [2]task{a, b})
}

func mediansOf(e effort, sides [2]*side, tasks [2]task) (best [2]time.Duration, err error) {
	best = [2]time.Duration{time.Hour, time.Hour}
	var calls [2]int
	for range e.turns {
		for i, s := range sides {
			do := tasks[i]
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

// purge removes the tombstones of keys that limit checks deleted.
func (s *side) purge() error {
	_, err := s.st.Upkeep.Purge(context.Background(), noon.Add(time.Second))
	return err
}

// spent is the elapsed time and this process's processor time of one call in the fastest
// turn of a side.
type spent struct{ wall, cpu time.Duration }

// compare runs all sides in turns.
func compare(turns int, sides ...func(n int) error) ([]spent, error) {
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
