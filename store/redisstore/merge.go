package redisstore

import (
	"container/heap"
	"context"
	"strings"
)

// merge reads the indexes of many spaces as one, in order of place. Of many it
// reads places only, few of each at first, and the records of those places
// that it hands out.
type merge struct {
	db        *database
	byName    bool
	down      bool
	low, high string // bounds as ZRANGEBYLEX takes them
	heads     heads  // the sources that have items, as a heap
	empty     []*source
	bare      bool // items come without records
}

// source is one index with its records.
type source struct {
	space space
	keys  []string // index, records, and perhaps uses
	items []item
	last  string // the place of the last item read
	size  int    // of the last stretch
	ended bool   // nothing is behind items
}

// item is one record and its place in the order.
type item struct {
	source              *source
	place, record, uses string
}

// id is what follows the value in a place.
func (i *item) id(byName bool) string {
	if byName {
		_, id, _ := strings.Cut(i.place, "\x00\x01")
		return id
	}
	return i.place[min(len(i.place), 16):]
}

func newMerge(db *database, byName, down bool, sources []*source) *merge {
	return &merge{db: db, byName: byName, down: down, low: "-", high: "+", heads: heads{down: down}, empty: sources, bare: len(sources) > 1}
}

// after begins behind a place.
func (m *merge) after(place string) {
	if m.down {
		m.high = "(" + place
	} else {
		m.low = "(" + place
	}
}

// together is how many spaces one trip reads.
const together = 500

// take returns the next items, up to n; fewer are the last.
func (m *merge) take(ctx context.Context, n int) ([]item, error) {
	var taken []item
	for len(taken) < n {
		if err := m.fill(ctx, n-len(taken)); err != nil {
			return nil, err
		}
		if len(m.heads.sources) == 0 {
			break
		}
		first := m.heads.sources[0]
		taken = append(taken, first.items[0])
		if first.items = first.items[1:]; len(first.items) > 0 {
			heap.Fix(&m.heads, 0)
			continue
		}
		heap.Pop(&m.heads)
		if !first.ended {
			m.empty = append(m.empty, first)
		}
	}
	if !m.bare {
		return taken, nil
	}
	return taken, m.load(ctx, taken)
}

// fill reads on where nothing is left; wanted is how many items still are.
func (m *merge) fill(ctx context.Context, wanted int) error {
	first := 2*wanted/max(1, len(m.empty)) + 2
	for len(m.empty) > 0 {
		part := m.empty[:min(len(m.empty), together)]
		if err := m.read(ctx, part, min(first, stretch)); err != nil {
			return err
		}
		m.empty = m.empty[len(part):]
		for _, s := range part {
			if len(s.items) > 0 {
				heap.Push(&m.heads, s)
			}
		}
	}
	return nil
}

func (m *merge) read(ctx context.Context, sources []*source, first int) error {
	kind, way, what := "created", "up", "records"
	if m.byName {
		kind = "name"
	}
	if m.down {
		way = "down"
	}
	if m.bare {
		what = "places"
	}
	calls := make([]*call, len(sources))
	for i, s := range sources {
		s.size = min(max(2*s.size, first), stretch)
		low, high := m.low, m.high
		switch {
		case s.last == "":
		case m.down:
			high = "(" + s.last
		default:
			low = "(" + s.last
		}
		calls[i] = evaluate(m.db.scripts.page, s.keys, what, kind, way, low, high, s.size)
	}
	if err := m.db.run(ctx, calls...); err != nil {
		return err
	}
	for i, s := range sources {
		list := calls[i].list()
		s.items = make([]item, 0, len(list)/3)
		for j := 0; j+2 < len(list); j += 3 {
			place, _ := list[j].(string)
			record, _ := list[j+1].(string)
			uses, _ := list[j+2].(string)
			s.items = append(s.items, item{s, place, record, uses})
			s.last = place
		}
		s.ended = len(s.items) < s.size
	}
	return nil
}

// load brings the records of places. One that was deleted in between has none.
func (m *merge) load(ctx context.Context, items []item) error {
	calls := make([]*call, 0, 2*len(items))
	for i := range items {
		item := &items[i]
		for _, key := range item.source.keys[1:] {
			calls = append(calls, command("hget", key, item.id(m.byName)))
		}
	}
	if err := m.db.run(ctx, calls...); err != nil {
		return err
	}
	for i := range items {
		item := &items[i]
		item.record = calls[0].text()
		if len(item.source.keys) > 2 {
			item.uses = calls[1].text()
		}
		calls = calls[len(item.source.keys)-1:]
	}
	return nil
}

// heads implements heap.Interface: the source whose first item comes first is
// on top.
type heads struct {
	sources []*source
	down    bool
}

func (h *heads) Len() int { return len(h.sources) }

func (h *heads) Less(i, j int) bool {
	a, b := h.sources[i].items[0].place, h.sources[j].items[0].place
	if h.down {
		return a > b
	}
	return a < b
}

func (h *heads) Swap(i, j int) { h.sources[i], h.sources[j] = h.sources[j], h.sources[i] }

func (h *heads) Push(x any) {
	if s, ok := x.(*source); ok {
		h.sources = append(h.sources, s)
	}
}

func (h *heads) Pop() any {
	last := h.sources[len(h.sources)-1]
	h.sources = h.sources[:len(h.sources)-1]
	return last
}
