package policy

import (
	"context"
	"fmt"
)

// MaxKeys lets a workspace hold at most n keys; n of 0 or less allows none.
// Every key counts that was not deleted, disabled and expired ones too. It
// applies where a key is made (Create, Import) and nowhere else: a workspace
// that holds more, since the number was lowered, keeps them and may rotate,
// change and enable them.
//
// The store enforces the number in the step that adds the key, so that
// concurrent creations never exceed it. The policy also answers early, from the count
// that was read with the workspace, so that the caller gets the reason without a failed
// write.
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

// counted writes a number and its noun: "1 key", "2 keys".
func counted[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
