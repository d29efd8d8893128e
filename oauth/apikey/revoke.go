package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
)

// RevokeSecret removes the secret that c holds from its key, and revokes every
// token issued for it. Anyone who finds a leaked secret can call it. It works for
// disabled and expired keys, in suspended workspaces, and for secrets that have ended
// but are still in their key, too, unless they were imported with a slow digest. For wrong credentials its errors are those of
// Authenticate.
//
// If c.ID is empty, the secret alone is enough, unless it was imported with a slow
// digest, even if a login has replaced that since. Such a call does not tell whether a
// key had the secret: it returns nil for an unknown one as well, and not before
// Config.RefuseAfter has passed. (If the store takes longer than that to remove a secret,
// the response time shows that a key had it. So does what is left of the budget. By then
// the secret has been removed.) A malformed
// secret is ErrInvalidCredentials, at once. Unknown secrets, and nothing else, spend a
// budget of their own, which has the size of Budgets.PerAddress. When it is spent,
// every secret from that address gets a *ThrottledError, and the store is not read.
func (s *Service) RevokeSecret(ctx context.Context, c Credentials) error {
	p := s.newProof(c, observe.SecretRevocation)
	alone := c.ID == ""
	if alone {
		if wait, over := s.unknown.over(ctx, p.address, "", p.now); over {
			s.observe(ctx, p, "throttled")
			return &ThrottledError{RetryAfter: wait}
		}
	}
	err := s.prove(ctx, c.Secret, p)
	if err != nil && !alone {
		return s.refuse(ctx, p, err)
	}
	s.observe(ctx, p, reasonOf(err))
	switch {
	case err == nil:
		holder := store.ActorRef{Kind: "holder", ID: p.found.Key.ID}
		err = s.endProved(ctx, p, store.Event{Action: audit.Revoke, Actor: holder}, removeCredential)
	case errors.Is(err, ErrInvalidCredentials) && !errors.Is(err, errMalformed):
		s.unknown.fail(ctx, p.address, "", p.now)
		err = nil
	}
	if err == nil && alone {
		s.delayRefusal(ctx, p.start)
	}
	return err
}

// maxSkew is the greatest Config.MaxClockSkew.
const maxSkew = time.Hour

// Leak is a report that a secret was found in a public place.
type Leak struct {
	// Scanner is who found it, such as "api.github.com".
	Scanner string
	// URL and Source say where, in the scanner's words. They may be empty, and
	// anyone can choose parts of them. ReportLeak replaces the secret by "(redacted)"
	// and each character that cannot be printed by U+FFFD, and cuts each text after 1024
	// bytes.
	URL, Source string
	// NoteOnly leaves the secret as it is. Otherwise ReportLeak ends it and every token
	// issued for it. The key keeps the record of the ended secret until it is rotated, so
	// that a further report of the secret is known to be true.
	NoteOnly bool
	// Key, Workspace, SecretID and Hint are of the secret. ReportLeak sets them.
	Key, Workspace, SecretID, Hint string
}

// ReportLeak acts on a secret that a scanner found, and returns l with the fields that
// tell whose secret it is. It also finds secrets that have ended, and those of disabled
// and expired keys and in suspended workspaces. It does not find one that was imported
// with a slow digest, even if a login has replaced that since.
//
// The end of a secret is always an audit event, with the URL. While nothing changes,
// since the secret has ended or is only noted, at most one event is written in each hour,
// in all processes together, until the key changes: a secret that everyone can read must
// not fill the audit log. So a call can be repeated.
//
// If no key has the secret, the error is ErrInvalidCredentials; for a malformed secret
// without a read of the store. No budget counts it, so the caller must have checked who
// sends the report.
func (s *Service) ReportLeak(ctx context.Context, secret string, l Leak) (Leak, error) {
	p := s.newProof(Credentials{Secret: secret}, observe.LeakReport)
	err := s.prove(ctx, secret, p)
	s.observe(ctx, p, reasonOf(err))
	if err != nil {
		return l, err
	}
	l.Key, l.Workspace, l.SecretID, l.Hint = p.found.Key.ID, p.found.Key.Workspace, p.credential.ID, p.credential.Hint
	l.URL, l.Source = printable(strings.ReplaceAll(l.URL, secret, redacted)), printable(strings.ReplaceAll(l.Source, secret, redacted))
	event := store.Event{
		Action: audit.Leak, Actor: store.ActorRef{Kind: "scanner", ID: printable(l.Scanner)},
		Note: printable(strings.TrimSpace(l.URL + " " + l.Source)),
	}
	return l, s.endProved(ctx, p, event, func(k *store.Key, id string) error {
		if c := k.Credential(id); c != nil && !l.NoteOnly {
			// The end is a time that has passed by every process's clock, although that
			// of the process that created the secret may have been ahead.
			c.NotAfter = c.Created.Add(-maxSkew)
		}
		return nil
	})
}

// leakID returns the id of the event of a report. It is the same for all reports of a
// secret in one hour, in every process, so the store keeps only one event. It covers the
// version of the key after the event, so that a change always has its own.
func leakID(k *store.Key, secret string, now time.Time, changes bool) string {
	version := k.Version
	if changes {
		version++
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", k.ID, secret, version, now.Truncate(time.Hour).Unix()))
	return "leaked-" + hex.EncodeToString(sum[:12])
}

// endProved applies end to the secret that was verified, and writes the event. It does
// not read from a cache. It does nothing if the key was deleted, or if end returns
// store.ErrNotFound, since another call has removed the secret then.
func (s *Service) endProved(ctx context.Context, p *Proof, e store.Event, end func(k *store.Key, secret string) error) error {
	err := retryErr(func() error {
		found, err := lookup(ctx, s.store.Keys, p.found.Key.ID)
		if err != nil {
			return fmt.Errorf("apikey: read the key of the secret: %w", err)
		}
		after := found.Key.Clone()
		if err := end(&after, p.credential.ID); err != nil {
			return err
		}
		after.Updated = p.now
		changed := changedFields(&found.Key, &after)
		change, err := s.newChange(p.now, Actor{ref: e.Actor, Address: p.address}, eventOf(e.Action, &after, changed))
		if err != nil {
			return err
		}
		change.Events[0].Note = e.Note
		if e.Action == audit.Leak {
			change.Events[0].ID = leakID(&found.Key, p.credential.ID, p.now, len(changed) > 0)
		}
		if len(changed) == 0 {
			return writeError("report leak", s.store.Events.Append(ctx, change.Events...))
		}
		change.RevokeTokens = revokesTokens(&found.Key, &after)
		return writeError("revoke secret", s.store.Keys.Update(ctx, after, change))
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
