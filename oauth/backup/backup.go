// Package backup writes all keys, settings and audit events of a store as lines of
// JSON and reads them into another store, which may be of another kind:
//
//	err := backup.Export(ctx, here.APIKeys(), admin, file)
//	done, err := backup.Restore(ctx, there.APIKeys(), admin, file)
//
// Programs keep their ids, secrets, private keys and identities. Protect the lines as you protect the store:
// a digest of a generated secret reveals nothing, but a digest of an imported
// password allows guessing. Anyone who can change the lines decides which keys a
// restore adds, and what the audit log then says.
//
// # Format
//
// Each line is an object: the number of the format, and one record. Times are RFC 3339
// in UTC. An empty member may be left out, unless it has a *.
// oauth/OPERATING.md describes the digests.
//
//	format*          1
//	instance         the settings of the instance
//	reminders        {off, before}, of the instance; before is an array of nanoseconds
//	workspace        the settings of a workspace that has some of its own
//	key              a key
//	suspended        boolean: whether the key's workspace is suspended
//	event            an event of the audit log
//
// An instance:
//
//	keys_off         boolean: no key can log in
//	direct_off       boolean: no secret is accepted in place of a token
//	rules            {max_keys, require_expiry, max_lifetime, enforced_at, key_requests, workspace_requests}; max_lifetime in nanoseconds, see store.Rules
//
// A workspace:
//
//	id*
//	rules            as above
//	suspended        boolean
//	deleted          boolean: the id cannot be used again
//
// A key:
//
//	id*, workspace*, name*
//	permissions*     array of strings
//	requested        array of strings: the permissions as they were requested
//	admin            array of strings: the permissions that were granted as admin permissions
//	credentials*     array of secrets, public keys and trusts
//	not_after        when the key expires
//	not_after_text   the same as a date, if it was given as a date
//	resources        array of strings
//	disabled         boolean
//	direct           boolean: requests may carry its secrets in place of a token
//	created_by       {kind*, id*}
//	depth            number of keys between this key and a person in the chain of creators, up to 3
//	created*, updated, last_used
//
// A credential. With public_key it is a public key, with trust a trust, otherwise a secret:
//
//	id*, created*
//	public_key       {jwk*, endpoint_audience, long_assertions}; jwk is the text of a JSON Web Key
//	trust            {issuer*, claims*}; issuer is the name of an entry of Config.TrustedIssuers, claims an array of {name*, value*}
//	name             of a public key or a trust
//	digest, hint, prefix, generated
//	                 of a secret, which must have a digest
//	created_by, not_after, last_used
//
// An event:
//
//	id*, time*, action*
//	actor            {kind*, id*}
//	actor_name       its name at that time
//	address          the IP address that the request came from
//	workspace, key   the ids of what it was done to
//	key_name         the key's name after the event, or before its deletion
//	changes          array of {field*, old, new}
//	note             such as the reason of a refusal
package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// Export writes the instance's settings, those of workspaces by id, every key of
// every workspace in the order of creation and id, and the audit log, the latest
// event first. Restore reads the lines. They hold the digests of secrets and the public
// keys of programs, and neither secrets nor private keys.
//
// The lines do not hold usage by day, ids of deleted keys, revoked tokens, epochs or
// signing keys. The export is not a snapshot: what changes meanwhile may be in it or
// not. Memory does not grow with the number of lines.
//
// For an organization admin. The event of the export is written before the first
// line; if it cannot be written, nothing is exported.
func Export(ctx context.Context, keys *apikey.Service, actor apikey.Actor, w io.Writer) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	e := exporter{ctx, keys, actor, lines}
	for _, step := range []func() error{e.settingsAndKeys, e.events, out.Flush} {
		if err := step(); err != nil {
			return fmt.Errorf("backup: export: %w", err)
		}
	}
	return nil
}

type exporter struct {
	ctx   context.Context //nolint:containedctx // of one call
	keys  *apikey.Service
	actor apikey.Actor
	lines *json.Encoder
}

// settingsAndKeys writes the settings before the keys, so that a restored key cannot
// log in before they are there. Records writes the event of the export before it yields
// the first key, and the event must come before any line. So the settings are written
// when the first key comes, or, without keys, after the loop.
func (e *exporter) settingsAndKeys() error {
	settings := sync.OnceValue(e.settings)
	for record, err := range e.keys.Records(e.ctx, e.actor) {
		if err == nil {
			err = settings()
		}
		if err != nil {
			return err
		}
		key := record.Key
		key.Credentials = append([]store.Credential{}, key.Credentials...) // [] and not null
		if err := e.write(line{Key: &key, Suspended: record.Workspace.Suspended}); err != nil {
			return err
		}
	}
	return settings()
}

func (e *exporter) settings() error {
	s, err := e.keys.Settings(e.ctx, e.actor)
	if err == nil && s.Version > 0 {
		err = e.write(line{Instance: &s.Instance, Reminders: &s.Reminders})
	}
	if err != nil {
		return err
	}
	for after, more := "", true; more; more = after != "" {
		page, err := e.keys.Workspaces(e.ctx, e.actor, after, store.MaxPage)
		if err != nil {
			return err
		}
		for _, w := range page.Workspaces {
			if w.Version == 0 {
				continue
			}
			if err := e.write(line{Workspace: &w}); err != nil {
				return err
			}
		}
		after = page.Next
	}
	return nil
}

func (e *exporter) events() error {
	q := store.EventQuery{Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := e.keys.Events(e.ctx, e.actor, q)
		if err != nil {
			return err
		}
		for _, event := range page.Events {
			if err := e.write(line{Event: &event}); err != nil {
				return err
			}
		}
		q.After = page.Next
	}
	return nil
}

func (e *exporter) write(l line) error {
	l.Format = format
	return e.lines.Encode(l)
}
