package cache

import (
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// versions counts, for each thing that is cached, how often it may have
// changed. A record is kept with the versions that stood before it was read,
// and holds while they stand: so what was read before a change never comes
// into use after it, however late it arrives.
type versions struct {
	keys, workspaces, tokens stripes
	// counts are of the numbers of keys. Epochs do not depend on them, and need
	// not be read again because a neighbour was made.
	counts   stripes
	instance atomic.Uint64
	// changes moves before any of these does but tokens.
	changes atomic.Uint64
}

// stripes holds the versions of many names in few places: a change of one puts
// the others at its place out of use too, which costs a read each and nothing
// more.
type stripes [4096]atomic.Uint64

func (s *stripes) of(hash uint64) uint64 { return s[hash%uint64(len(s))].Load() }

func (s *stripes) move(hash uint64) { s[hash%uint64(len(s))].Add(1) }

// stamp is what an answer depends on: the generation of the feed that vouches
// for it, and the versions of what it was read from.
type stamp [5]uint64

// forget puts out of use what the notice is about. Of a kind that a newer
// driver sends, or without a name, it may be about anything.
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
		c.forgetToken(n.Token)
	default:
		c.feed.drop()
	}
}

// forgetKey is for a change of a key, which may move its workspace's number of
// keys.
func (c *Cache) forgetKey(workspace, id string) {
	c.versions.changes.Add(1)
	c.versions.keys.move(c.hash(id))
	c.versions.counts.move(c.hash(workspace))
}

func (c *Cache) forgetWorkspace(id string) {
	c.versions.changes.Add(1)
	c.versions.workspaces.move(c.hash(id))
}

func (c *Cache) forgetInstance() {
	c.versions.changes.Add(1)
	c.versions.instance.Add(1)
}

func (c *Cache) forgetToken(id string) { c.versions.tokens.move(c.hash(id)) }
