// Package backup writes all keys of a store as lines of JSON and reads them
// into another store, which may be of another kind:
//
//	err := backup.Export(ctx, here.APIKeys(), admin, file)
//	done, err := backup.Restore(ctx, there.APIKeys(), admin, file)
//
// Programs go on with the ids and secrets that they have. Keep the lines as you
// keep the store: a digest of a secret that Latchkey generated tells nothing,
// but an imported password can be guessed at, and whoever can change the lines
// decides which keys there are once they are restored.
//
// # Format
//
// Each line is an object with these members; times are RFC 3339 in UTC, and a
// member that is empty may be left out, except for those marked with *:
//
//	format*          1
//	id*, workspace*, name*
//	permissions*     array of strings
//	asked            array of strings, as the permissions were given
//	admin            array of strings, those of the permissions that were granted as admin permissions
//	secrets*         array of {id*, hint, digest*, prefix, created_by, generated, created*, not_after, last_used}
//	not_after        when the key expires
//	not_after_text   the same as a date, where it was given as one
//	resources        array of strings
//	disabled         boolean
//	created_by       {kind, id}
//	depth            how many keys stand between the key and a person, up to 3
//	created*, updated, last_used
//	suspended        boolean: the workspace is
package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// Export writes every key of every workspace, one key a line, ordered by
// creation and id, for Restore to read: the digests of its secrets are in it,
// the secrets are not.
//
// Settings are not in it, nor are events, ids of deleted keys, or signing
// keys; of a workspace, whether it is suspended. It is no snapshot: a key made
// or changed meanwhile may stand in it or not.
//
// For an organization admin. Its event is written before the first line; an
// export that cannot be recorded does not happen.
func Export(ctx context.Context, keys *apikey.Service, actor apikey.Actor, w io.Writer) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for record, err := range keys.Records(ctx, actor) {
		if err != nil {
			return fmt.Errorf("backup: export: %w", err)
		}
		if err := lines.Encode(lineOf(record)); err != nil {
			return fmt.Errorf("backup: export: write: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("backup: export: write: %w", err)
	}
	return nil
}
