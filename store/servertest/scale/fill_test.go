package scale_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// perWorkspace is how many keys a workspace has: 10,000 of them hold a million.
const perWorkspace = 100

var (
	noon        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	permissions = scope.MustParse("project.create project.delete project.list project.read project.update")
)

// A key is derived from its number, so that the tests need not store a million ids.

func workspaceOf(number int) string {
	return fmt.Sprintf("8f14e45f-ceea-467f-9a36-%012d", number/perWorkspace)
}

func createdAt(number int) time.Time { return noon.Add(time.Duration(number) * time.Second) }

// keyOf returns a typical key: one secret, five permissions, a name of 20 bytes, ids as
// random as UUIDs.
func keyOf(number int) store.Key {
	sum := sumOf(number)
	created := createdAt(number)
	return store.Key{
		ID: idOf(number), Workspace: workspaceOf(number), Name: fmt.Sprintf("deployment-%09d", number),
		Permissions: permissions, RequestedPermissions: permissions,
		Credentials: []store.Credential{{
			ID: hex.EncodeToString(sum[16:24]), Hint: "Ab1x", Generated: true, Created: created,
			Digest: "hmac-sha256$1$" + base64.RawURLEncoding.EncodeToString(sum[:]),
		}},
		CreatedBy: store.ActorRef{Kind: "owner", ID: idOf(number / perWorkspace)},
		Created:   created, Updated: created, Version: 1, Epoch: 1,
	}
}

func idOf(number int) string {
	sum := sumOf(number)
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func sumOf(number int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(number)))
}

// fill creates the keys from one number up to another through the store's API. Both are
// multiples of perWorkspace. Consecutive keys are in different workspaces, as in practice.
func fill(ctx context.Context, st store.Store, from, to int) error {
	return fillWith(ctx, st, from, to, keyOf)
}

// fillWith is fill with keys of the caller's.
func fillWith(ctx context.Context, st store.Store, from, to int, keyOf func(number int) store.Key) error {
	const writers = 16
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var working sync.WaitGroup
	workspaces := (to - from) / perWorkspace
	for range writers {
		working.Go(func() {
			for ctx.Err() == nil {
				turn := int(next.Add(1)) - 1
				if turn >= to-from {
					return
				}
				number := from + turn%workspaces*perWorkspace + turn/workspaces
				if err := st.Keys.Create(ctx, keyOf(number), store.NoLimit, store.Change{Now: noon}); err != nil {
					cancel(fmt.Errorf("key %d: %w", number, err))
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}
