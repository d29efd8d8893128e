package redisstore

import (
	"context"
	"strings"
)

// merge reads the indexes of many spaces as one, in order of place. It reads
// short stretches first, since of many spaces each has few on a page, and
// longer ones of those that turn out to have more.
type merge struct {
	db        *database
	byName    bool
	down      bool
	low, high string // bounds as ZRANGEBYLEX takes them
	sources   []*source
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
type item struct{ place, record, uses string }

const (
	firstStretch = 8
	// together is how many spaces one trip reads.
	together = 200
)

// id is what follows the value in a place.
func (i *item) id(byName bool) string {
	if byName {
		_, id, _ := strings.Cut(i.place, "\x00\x01")
		return id
	}
	return i.place[min(len(i.place), 16):]
}

// next returns the next item and its space, or nil after the last.
func (m *merge) next(ctx context.Context) (*item, space, error) {
	if err := m.fill(ctx); err != nil {
		return nil, "", err
	}
	var first *source
	for _, s := range m.sources {
		if len(s.items) == 0 {
			continue
		}
		if first == nil || m.before(s.items[0].place, first.items[0].place) {
			first = s
		}
	}
	if first == nil {
		return nil, "", nil
	}
	next := &first.items[0]
	first.items = first.items[1:]
	return next, first.space, nil
}

func (m *merge) before(a, b string) bool {
	if m.down {
		return a > b
	}
	return a < b
}

// fill reads on where nothing is left, and forgets what has ended.
func (m *merge) fill(ctx context.Context) error {
	var empty []*source
	left := m.sources[:0]
	for _, s := range m.sources {
		if len(s.items) == 0 {
			if s.ended {
				continue
			}
			empty = append(empty, s)
		}
		left = append(left, s)
	}
	m.sources = left
	for len(empty) > 0 {
		part := empty[:min(len(empty), together)]
		if err := m.read(ctx, part); err != nil {
			return err
		}
		empty = empty[len(part):]
	}
	return nil
}

func (m *merge) read(ctx context.Context, sources []*source) error {
	kind, way := "created", "up"
	if m.byName {
		kind = "name"
	}
	if m.down {
		way = "down"
	}
	calls := make([]*call, len(sources))
	for i, s := range sources {
		s.size = min(max(2*s.size, firstStretch), stretch)
		if len(m.sources) == 1 {
			s.size = max(s.size, 128)
		}
		low, high := m.low, m.high
		switch {
		case s.last == "":
		case m.down:
			high = "(" + s.last
		default:
			low = "(" + s.last
		}
		calls[i] = evaluate(m.db.scripts.page, s.keys, kind, way, low, high, s.size)
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
			s.items = append(s.items, item{place, record, uses})
			s.last = place
		}
		s.ended = len(s.items) < s.size
	}
	return nil
}
