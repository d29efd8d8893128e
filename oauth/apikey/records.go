package apikey

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Records yields every key of every workspace as it is stored, with the digests of
// its secrets, and its workspace. Instance is left out. The order is by creation,
// then by id. Package backup uses it.
//
// For an organization admin. The event audit.Export is written before the first key
// is read; if that fails, no key is yielded. An error is yielded once, at the end,
// with a zero record.
func (s *Service) Records(ctx context.Context, actor Actor) iter.Seq2[store.Found, error] {
	return func(yield func(store.Found, error) bool) {
		if err := s.eachRecord(ctx, actor, func(record store.Found) bool { return yield(record, nil) }); err != nil {
			yield(store.Found{}, err)
		}
	}
}

// eachRecord does the work of Records. It calls take for each key until take returns
// false.
func (s *Service) eachRecord(ctx context.Context, actor Actor, take func(store.Found) bool) error {
	if _, err := s.mayAdminister(ctx, actor, audit.Export); err != nil {
		return err
	}
	change, err := s.newChange(s.now(), actor, store.Event{Action: audit.Export})
	if err != nil {
		return err
	}
	if err := s.store.Events.Append(ctx, change.Events...); err != nil {
		return fmt.Errorf("apikey: record the export: %w", err)
	}
	q := store.KeyQuery{Sort: store.ByCreated, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := s.store.Keys.List(ctx, q)
		if err != nil {
			return fmt.Errorf("apikey: list keys: %w", err)
		}
		for _, key := range page.Keys {
			if !take(store.Found{Key: key, Workspace: page.Workspaces[key.Workspace]}) {
				return nil
			}
		}
		q.After = page.Next
	}
	return nil
}

// Restorer returns a function that stores a key as Records yielded it, and suspends
// its workspace if that was suspended. It does not restore the key's Version and
// Epoch, nor any other field of the workspace. Package backup uses it.
//
// For an organization admin, which Restorer checks once. The function's errors:
// *InvalidError for a record that is not valid, or whose digests this service
// cannot verify, *ForbiddenError for permissions that the actor may not grant,
// store.ErrExists for an id that a key has or had, store.ErrCredentialExists, which wraps
// it, for a secret that another key has, store.ErrNotFound for a workspace that was
// deleted, store.ErrUnavailable.
func (s *Service) Restorer(ctx context.Context, actor Actor) (func(store.Found) error, error) {
	p, err := s.mayAdminister(ctx, actor, audit.Restore)
	if err != nil {
		return nil, err
	}
	return func(record store.Found) error {
		key, err := s.checkRecord(record.Key)
		if err != nil {
			return err
		}
		if err := p.mayGrant(audit.Restore, &key, scope.Set{}, true); err != nil {
			return err
		}
		return retryErr(func() error { return s.restoreOnce(ctx, p, key, record.Workspace.Suspended) })
	}, nil
}

func (s *Service) restoreOnce(ctx context.Context, p powers, key store.Key, suspended bool) error {
	workspace, instance, err := s.settingsOf(ctx, key.Workspace)
	if err != nil {
		return err
	}
	if workspace.Deleted {
		return fmt.Errorf("apikey: restore key: its workspace was deleted: %w", store.ErrNotFound)
	}
	// This comes first, so that a key that exists already does not suspend its workspace.
	if _, err := lookup(ctx, s.store.Keys, key.ID); err == nil {
		return fmt.Errorf("apikey: restore key: a key has this id: %w", store.ErrExists)
	} else if !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("apikey: find key: %w", err)
	}
	if suspended && !workspace.Suspended {
		if err := s.SetSuspended(ctx, p.actor, key.Workspace, true); err != nil {
			return err
		}
		if workspace, instance, err = s.settingsOf(ctx, key.Workspace); err != nil {
			return err
		}
	}
	found := &store.Found{Key: key, Workspace: workspace, Instance: instance}
	return s.insert(ctx, p, audit.Restore, found, store.NoLimit, nil, s.now())
}

// RestoreEvent adds to the audit log an event that Events returned, unless one with
// its id is there. Package backup uses it. If Events could not have returned the event,
// for example because a text is too long, the error is an *InvalidError. For an
// organization admin.
func (s *Service) RestoreEvent(ctx context.Context, actor Actor, e store.Event) error {
	if _, err := s.mayAdminister(ctx, actor, audit.Restore); err != nil {
		return err
	}
	var bad InvalidError
	e.Time = instant(&bad, "time", e.Time)
	bad.addIf(e.Time.IsZero(), "time", "It may not be empty.")
	bad.addIf(!validID(e.ID), "id", idForm)
	checkText(&bad, "action", e.Action)
	bad.addIf(len(e.Action) > maxID, "action", "It may have at most 255 bytes.")
	bad.addIf(len(e.Changes) > 100, "changes", "There may be at most 100.") // no event has as many
	checkActor(&bad, "actor", e.Actor)
	if addr, err := netip.ParseAddr(e.Address); e.Address != "" && (err != nil || addressText(addr) != e.Address) {
		bad.add("address", "It must be an IP address, without a zone.")
	}
	ids := [][2]string{{"workspace", e.Workspace}, {"key", e.Key}}
	texts := [][2]string{{"actor_name", e.ActorName}, {"key_name", e.KeyName}, {"note", e.Note}}
	for _, c := range e.Changes {
		ids, texts = append(ids, [2]string{"changes", c.Field}), append(texts, [2]string{"changes", c.Old}, [2]string{"changes", c.New})
	}
	for _, id := range ids {
		if id[1] != "" && len(bad.Problems) == 0 {
			checkText(&bad, id[0], id[1])
		}
	}
	for _, text := range texts {
		if text[1] != printable(text[1]) && len(bad.Problems) == 0 {
			bad.add(text[0], "It may contain printable text of at most 1024 bytes only.")
		}
	}
	if err := bad.orNil(); err != nil {
		return err
	}
	return writeError("restore an event", s.store.Events.Append(ctx, e))
}
