package oauth_test

import (
	"context"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// tap stands between a server and its store.
type tap struct{ harness.Tap }

// newTap returns a full store whose every call goes through the tap.
func newTap() (store.Store, *tap) {
	t := &tap{}
	return t.Over(memstore.New()), t
}

func (t *tap) set(before func(ctx context.Context, call string) error) { t.Set(before) }
func (t *tap) take() map[string]int                                    { return t.Take() }
func (t *tap) call(ctx context.Context, name string) error             { return t.Call(ctx, name) }
