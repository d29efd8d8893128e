package apikey_test

import (
	"context"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// counted is a store that counts the calls on the path of a login.
type counted struct {
	reads, writes atomic.Int64
}

func (c *counted) around(st store.Store) store.Store {
	return harness.Tapped(st, func(_ context.Context, call string) error {
		switch call {
		case "Keys.Lookup", "Settings.Instance", "Settings.Workspace", "Epochs.Read":
			c.reads.Add(1)
		default:
			c.writes.Add(1)
		}
		return nil
	})
}
