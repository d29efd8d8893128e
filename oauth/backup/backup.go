// Package backup writes all keys, settings and audit events of a store as lines of
// JSON and reads them into another store, which may be of another kind:
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
// Each line is an object. Times are RFC 3339 in UTC. An empty member may be left
// out, unless it is marked with *. oauth/OPERATING.md describes the digests. A line
// without kind is a key:
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
//
// The settings of the instance, and of a workspace that has some of its own:
//
//	format*, kind*   1, "settings"
//	keys_off         boolean: no key can log in
//	rules            {max_keys, require_expiry, max_lifetime, enforced_from}; max_lifetime in nanoseconds, see store.Rules
//	reminders_off    boolean
//	remind_before    array of nanoseconds
//
//	format*, kind*   1, "settings"
//	workspace*       its id
//	rules            as above
//	suspended        boolean
//	deleted          boolean: the id cannot be used again
//
// An event of the audit log:
//
//	format*, kind*   1, "event"
//	id*, time*, action*
//	actor            {kind, id}
//	workspace, key   the ids of what it was done to
//	fields           array of strings: what changed
//	note             such as the reason of a refusal
package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// Export writes the instance's settings, every key of every workspace, the settings
// of workspaces and the audit log. Keys are ordered by creation and id, events by
// time, the latest first. The settings of a workspace come before its first key or
// event. Restore reads the lines. They hold the digests of secrets, and not the
// secrets.
//
// The lines do not hold usage by day, ids of deleted keys, revoked tokens, epochs or
// signing keys. A workspace that has neither a key nor an event is left out. The
// export is not a snapshot: what changes meanwhile may be in it or not. Memory grows
// only with the number of workspaces.
//
// For an organization admin. The event of the export is written before the first
// line; if it cannot be written, nothing is exported.
func Export(ctx context.Context, keys *apikey.Service, actor apikey.Actor, w io.Writer) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	e := exporter{ctx, keys, actor, lines, map[string]bool{}}
	err := e.keysAndSettings()
	if err == nil {
		err = e.events()
	}
	if err != nil {
		return fmt.Errorf("backup: export: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("backup: export: write: %w", err)
	}
	return nil
}

type exporter struct {
	ctx   context.Context //nolint:containedctx // of one call
	keys  *apikey.Service
	actor apikey.Actor
	lines *json.Encoder
	seen  map[string]bool // workspaces; "" is the instance
}

func (e *exporter) keysAndSettings() error {
	for record, err := range e.keys.Records(e.ctx, e.actor) {
		if err != nil {
			return err
		}
		if err := errors.Join(e.settings(""), e.settings(record.Key.Workspace), e.lines.Encode(lineOf(record))); err != nil {
			return err
		}
	}
	return e.settings("")
}

// settings writes the settings of a workspace or of the instance, once, if they were
// ever saved.
func (e *exporter) settings(workspace string) error {
	if e.seen[workspace] {
		return nil
	}
	e.seen[workspace] = true
	if workspace != "" {
		w, _, err := e.keys.Workspace(e.ctx, e.actor, workspace)
		if err != nil || w.Version == 0 {
			return err
		}
		return e.lines.Encode(settingsLine{Format: format, Kind: kindSettings, Workspace: w.ID, Suspended: w.Suspended, Deleted: w.Deleted, Rules: rulesLine(w.Rules)})
	}
	s, err := e.keys.Settings(e.ctx, e.actor)
	if err != nil || s.Version == 0 {
		return err
	}
	return e.lines.Encode(settingsLine{
		Format: format, Kind: kindSettings, KeysOff: s.KeysOff, Rules: rulesLine(s.Rules), RemindersOff: s.Reminders.Off, RemindBefore: s.Reminders.Before,
	})
}

func (e *exporter) events() error {
	q := store.EventQuery{Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := e.keys.Events(e.ctx, e.actor, q)
		if err != nil {
			return err
		}
		for _, event := range page.Events {
			line := eventLine{format, kindEvent, event.ID, event.Time, actorLine(event.Actor), event.Action, event.Workspace, event.Key, event.Fields, event.Note}
			if err := errors.Join(e.settings(event.Workspace), e.lines.Encode(line)); err != nil {
				return err
			}
		}
		q.After = page.Next
	}
	return nil
}
