package harness

import (
	"context"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

// DeafWatch drops all notifications after Deafen was called.
type DeafWatch struct {
	From store.Watch
	mu   sync.Mutex
	deaf bool
}

// Watch implements store.Watch.
func (d *DeafWatch) Watch(ctx context.Context, ready func(), n func(store.Notification)) error {
	return d.From.Watch(ctx, ready, func(x store.Notification) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.deaf {
			n(x)
		}
	})
}

// Deafen makes Watch drop all further notifications.
func (d *DeafWatch) Deafen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = true
}
