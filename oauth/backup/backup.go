// Package backup writes all keys of a store as lines of JSON and reads them
// into another store, which may be of another kind:
//
//	err := backup.Export(ctx, here.APIKeys(), admin, file)
//	done, err := backup.Restore(ctx, there.APIKeys(), admin, file)
//
// Programs keep their ids and secrets. Protect the lines as you protect the store:
// a digest of a generated secret reveals nothing, but a digest of an imported
// password allows guessing. Anyone who can change the lines decides which keys a
// restore adds.
//
// # Format
//
// Each line is an object with these members. Times are RFC 3339 in UTC. An empty
// member may be left out, unless it is marked with *:
//
//	format*          1
//	id*, workspace*, name*
//	permissions*     array of strings
//	asked            array of strings: the permissions as they were requested
//	admin            array of strings: the permissions that were granted as admin permissions
//	secrets*         array of {id*, hint, digest*, prefix, created_by, generated, created*, not_after, last_used}
//	not_after        when the key expires
//	not_after_text   the same as a date, if it was given as a date
//	resources        array of strings
//	disabled         boolean
//	created_by       {kind, id}
//	depth            number of keys between this key and a person in the chain of creators, up to 3
//	created*, updated, last_used
//	suspended        boolean: whether the workspace is suspended
package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// Export writes every key of every workspace, one key per line, ordered by creation
// and id. Restore reads the lines. They hold the digests of secrets, and not the
// secrets.
//
// The lines do not hold settings, events, ids of deleted keys or signing keys. Of a
// workspace they hold only whether it is suspended. The export is not a snapshot: a
// key that is created or changed meanwhile may be in it or not.
//
// For an organization admin. The event of the export is written before the first
// line; if it cannot be written, nothing is exported.
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
