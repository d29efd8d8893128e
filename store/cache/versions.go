package cache

import (
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// versions counts how often each cached record may have changed. A record is cached with
// the versions from before it was read, and is valid as long as they do not change. So a
// record that was read before a change is never used after it, however late the read
// returns.
type versions struct {
	keys, workspaces, tokens stripes
	// counts are the versions of the workspaces' numbers of keys. Epochs do not
	// depend on them, so a creation does not invalidate the epochs of other keys.
	counts   stripes
	instance atomic.Uint64
	// changes is raised before each of the others except tokens.
	changes atomic.Uint64
}

// stripes holds the versions of many names in a few counters. A change of one name also
// invalidates the other names of its counter, which costs one read for each of them.
type stripes [4096]atomic.Uint64

func (s *stripes) get(hash uint64) uint64 { return s[hash%uint64(len(s))].Load() }

func (s *stripes) raise(hash uint64) { s[hash%uint64(len(s))].Add(1) }

// stamp is what a cached record depends on: the generation of the feed, and the versions
// of the records that were read.
type stamp [5]uint64

// invalidate invalidates what the notification is about. A notification of an unknown
// kind, which a newer driver may send, or without a name can be about anything.
func (c *Cache) invalidate(n store.Notification) {
	switch {
	case n.Kind == store.NotificationHeartbeat, n.Kind == store.NotificationSigningKeys:
	case n.Kind == store.NotificationKey && n.Key != "":
		c.invalidateKey(n.Workspace, n.Key)
	case n.Kind == store.NotificationWorkspace && n.Workspace != "":
		c.invalidateWorkspace(n.Workspace)
	case n.Kind == store.NotificationInstance:
		c.invalidateInstance()
	case n.Kind == store.NotificationToken && n.Token != "":
		c.invalidateToken(n.Token)
	default:
		c.feed.invalidate()
	}
}

// invalidateKey is for a change of a key, which may change the number of keys of its
// workspace, too.
func (c *Cache) invalidateKey(workspace, id string) {
	c.versions.changes.Add(1)
	c.versions.keys.raise(c.hash(id))
	c.versions.counts.raise(c.hash(workspace))
}

func (c *Cache) invalidateWorkspace(id string) {
	c.versions.changes.Add(1)
	c.versions.workspaces.raise(c.hash(id))
}

func (c *Cache) invalidateInstance() {
	c.versions.changes.Add(1)
	c.versions.instance.Add(1)
}

func (c *Cache) invalidateToken(id string) { c.versions.tokens.raise(c.hash(id)) }
