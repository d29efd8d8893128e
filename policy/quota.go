package policy

import (
	"context"
	"fmt"
)

// MaxKeys limits the keys of a workspace to n. If n is 0 or less, no key can be
// created. Disabled and expired keys count, deleted ones do not. The limit applies
// only where a key is created or imported: a workspace that has more keys, because
// the limit was lowered, keeps them and may rotate, change and enable them.
//
// The store enforces the limit in the step that adds the key, so that concurrent
// creations never exceed it. The policy also checks the number that was read with
// the workspace, so that the caller usually gets the reason without a failed write.
func MaxKeys(n int) Policy {
	n = max(n, 0)
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		if r.Action != ActionCreate && r.Action != ActionImport {
			return nil
		}
		r.LimitKeys(n)
		if r.Workspace.Keys < n {
			return nil
		}
		return &Denied{Rule: "max_keys", Reason: fmt.Sprintf("This workspace may hold at most %s.", counted(n, "key"))}
	})
}

// counted formats a number with its noun: "1 key", "2 keys".
func counted[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
