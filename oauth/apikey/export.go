package apikey

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/store"
)

// The actions that events name when keys are taken out of a store and put
// into one. An export is one event; a restored key has its own.
const (
	ActionExport  = "key.export"
	ActionRestore = "key.restore"
)

// Export writes every key of every workspace as JSON lines, one key a line,
// ordered by creation and id, for Restore to read: the digests of its secrets
// are in it, the secrets are not. Keep the output as you keep the store: a
// digest of a secret that Latchkey generated tells nothing, but an imported
// password can be guessed at, and whoever can change the output decides which
// keys there are once it is restored.
//
// Settings are not in it, nor are events, ids of deleted keys, or signing
// keys; of a workspace, whether it is suspended. It is no snapshot: a key made
// or changed meanwhile may stand in it or not.
//
// For an organization admin. Its event is written before the first line; an
// export that cannot be recorded does not happen.
//
// Each line is an object with these members; times are RFC 3339 in UTC, and a
// member that is empty may be left out, except for those marked with *:
//
//	format*          1
//	id*, workspace*, name*
//	permissions*     array of strings
//	asked            array of strings, as the permissions were given
//	secrets*         array of {id*, hint, digest*, prefix, created_by, generated, created*, not_after, last_used}
//	not_after        when the key expires
//	not_after_text   the same as a date, where it was given as one
//	resources        array of strings
//	disabled         boolean
//	created_by       {kind, id}
//	depth            how many keys stand between the key and a person, up to 3
//	created*, updated, last_used
//	suspended        boolean: the workspace is
func (s *Service) Export(ctx context.Context, actor Actor, w io.Writer) error {
	if err := s.mustAdminister(ctx, actor, ActionExport); err != nil {
		return err
	}
	change, err := s.change(s.now(), actor.ref, ActionExport, "", "", nil)
	if err != nil {
		return err
	}
	if err := s.store.Events.Append(ctx, change.Events...); err != nil {
		return fmt.Errorf("apikey: export: record it: %w", err)
	}
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	q := store.KeyQuery{Sort: store.ByCreated, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := s.store.Keys.List(ctx, q)
		if err != nil {
			return fmt.Errorf("apikey: export: list keys: %w", err)
		}
		if err := s.exportPage(ctx, lines, page.Keys); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("apikey: export: write: %w", err)
		}
		q.After = page.Next
	}
	return nil
}

// exportPage writes keys with what stands around them, read once a page.
func (s *Service) exportPage(ctx context.Context, lines *json.Encoder, keys []store.Key) error {
	workspaces := make(map[string]store.Workspace)
	for _, key := range keys {
		workspace, known := workspaces[key.Workspace]
		if !known {
			var err error
			if workspace, err = s.store.Settings.Workspace(ctx, key.Workspace); err != nil {
				return fmt.Errorf("apikey: export: read workspace: %w", err)
			}
			workspaces[key.Workspace] = workspace
		}
		s.uses.overlay(&key)
		if err := lines.Encode(exported(key, workspace)); err != nil {
			return fmt.Errorf("apikey: export: write: %w", err)
		}
	}
	return nil
}
