package cache

import (
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// versions counts, for each thing that is cached, how often it may have
// changed. A record is kept with the versions that stood before it was read,
// and holds while they stand: so what was read before a change never comes
// into use after it, however late it arrives.
//
// Records and epochs have versions of their own: where they live apart, the
// epochs tell that a record is outdated (Cache.overtaken), and a key's epochs
// need not be read again because a neighbour was made and the workspace's
// number of keys moved.
type versions struct {
	keys, spaces         stripes // records
	instance             atomic.Uint64
	keyMarks, spaceMarks stripes // epochs
	instanceMark         atomic.Uint64
	tokens               stripes
}

// stripes holds the versions of many names in few places: a change of one puts
// the others at its place out of use too, which costs a read each and nothing
// more.
type stripes struct {
	at [4096]atomic.Uint64
	// moved counts the changes of all places. It moves before the place does.
	moved atomic.Uint64
}

func (s *stripes) of(hash uint64) uint64 { return s.at[hash%uint64(len(s.at))].Load() }

func (s *stripes) move(hash uint64) {
	s.moved.Add(1)
	s.at[hash%uint64(len(s.at))].Add(1)
}

// stamp is what an answer depends on: the generation of the feed that vouches
// for it, and the versions of what it was read from.
type stamp [5]uint64

// forget puts out of use what the notice is about. Of a kind that a newer
// driver tells, or without a name, it may be about anything.
func (c *Cache) forget(n store.Notice) {
	switch {
	case n.Kind == store.NoticeHeartbeat, n.Kind == store.NoticeSigningKeys:
	case n.Kind == store.NoticeKey && n.Key != "":
		c.forgetKey(n.Workspace, n.Key)
	case n.Kind == store.NoticeWorkspace && n.Workspace != "":
		c.forgetWorkspace(n.Workspace)
	case n.Kind == store.NoticeInstance:
		c.forgetInstance()
	case n.Kind == store.NoticeToken && n.Token != "":
		c.versions.tokens.move(c.hash(n.Token))
	default:
		c.records.drop()
		if c.marks != nil {
			c.marks.drop()
		}
	}
}

// forgetKey is for a change of a key, which may move its workspace's number of
// keys.
func (c *Cache) forgetKey(workspace, id string) {
	key := c.hash(id)
	c.versions.keys.move(key)
	c.versions.keyMarks.move(key)
	c.versions.spaces.move(c.hash(workspace))
}

func (c *Cache) forgetWorkspace(id string) {
	space := c.hash(id)
	c.versions.spaces.move(space)
	c.versions.spaceMarks.move(space)
}

func (c *Cache) forgetInstance() {
	c.versions.instance.Add(1)
	c.versions.instanceMark.Add(1)
}
