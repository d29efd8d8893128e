package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// DisableAllBy disables every key that one person or key created, in all workspaces,
// and every key that those keys created in turn. If such a key was deleted, the keys
// that it created are still found as long as its audit events are kept. DisableAllBy
// also retires the credentials that any of these creators gave to other keys, since a
// creator that can log in with such a credential can act as the other key. If a key
// gave the credential, what the other key created since then is disabled as well. If a
// person gave it, only the credential is retired; the caller should check what that key
// created since then.
//
// Call it when an owner leaves or a key leaked. creator is a key, which is disabled
// first, or a person, who may have acted as an owner or as an organization admin.
// With an empty Kind, creator stands for both a key and a person with that ID.
// DisableAllBy returns the number of keys that it disabled plus the number of
// credentials that it retired.
//
// If creator is a key and the error is nil, no key that it created is live any more,
// even if it was creating keys during the call. If creator is a person, take the
// person's rights away in the host first. The error wraps store.ErrConflict if
// after 10 rounds keys were still being created, or were enabled faster than they were
// disabled: suspend the workspaces or switch keys off, and call it again. After the
// failure to change one key it goes on with the others, and it joins the errors. If it
// cannot list keys or read the audit log, it ends. It reads the events of all creations,
// imports, rotations and added credentials. For an organization admin.
func (s *Service) DisableAllBy(ctx context.Context, actor Actor, creator store.ActorRef) (int, error) {
	if _, err := s.mayAdminister(ctx, actor, audit.Disable); err != nil {
		return 0, err
	}
	if creator.ID == "" {
		return 0, invalid("creator", "It may not be empty.")
	}
	w := &walk{service: s, actor: actor, seen: map[store.ActorRef]time.Time{}}
	// A disabled key creates no more keys, so one round finds all that it created.
	// Further rounds are for a person, who may be creating keys during the call, and
	// for a key that could not be disabled because it kept changing.
	for n := 1; ; n++ {
		before := w.ended
		w.unfinished = false
		if creator.Kind == kindKey || creator.Kind == "" {
			// In each round: one of its keys may have enabled it again.
			w.disable(ctx, creator.ID)
		}
		err := w.round(ctx, creator)
		switch {
		case err != nil:
			return w.ended, errors.Join(append(w.problems, err)...)
		case w.ended == before && !w.unfinished || len(w.problems) > 0:
			return w.ended, errors.Join(w.problems...)
		case n == maxRounds:
			return w.ended, fmt.Errorf("apikey: disable all: keys are still being created or enabled; suspend their workspaces or switch keys off, then try again: %w", store.ErrConflict)
		}
	}
}

// maxRounds bounds the rounds of DisableAllBy.
const maxRounds = 10

// walk goes from a creator to the keys that it created, and on to the keys that those
// created.
type walk struct {
	service    *Service
	actor      Actor
	seen       map[store.ActorRef]time.Time // creators handled in this round, and from which time on
	ended      int                          // keys disabled plus credentials retired
	unfinished bool                         // in this round a key kept changing and was not disabled
	problems   []error
}

// source is a creator whose keys are to be disabled. If since is zero, all of them
// are. If not, only those created from since on are: at that time another creator gave
// this one a credential, and could act as it.
type source struct {
	creator store.ActorRef
	since   time.Time
}

// logEntry is a source found in the audit log.
type logEntry struct {
	source
	at time.Time
}

// round handles all keys that the creator created, and the keys that those created.
func (w *walk) round(ctx context.Context, creator store.ActorRef) error {
	entries, err := w.logEntries(ctx, creator)
	if err != nil {
		return err
	}
	clear(w.seen)
	for sources := []source{{creator: creator}}; len(sources) > 0; sources = sources[1:] {
		from := sources[0]
		if since, seen := w.seen[from.creator]; seen && !from.since.Before(since) {
			continue
		}
		w.seen[from.creator] = from.since
		further, err := w.disableAll(ctx, from)
		if err != nil {
			return err
		}
		sources = append(sources, further...)
		for _, entry := range entries[from.creator] {
			if !entry.at.Before(from.since) {
				sources = append(sources, entry.source)
			}
		}
	}
	return nil
}

// disableAll disables the keys of one source and retires the credentials that it gave. It
// returns these keys as further sources.
func (w *walk) disableAll(ctx context.Context, from source) (further []source, err error) {
	// Newest first: keys created during the walk do not make the list longer.
	q := store.KeyQuery{CreatorID: from.creator.ID, Descending: true, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := w.service.store.Keys.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("apikey: list keys: %w", err)
		}
		q.After = page.Next
		for i := range page.Keys {
			k := &page.Keys[i]
			key := store.ActorRef{Kind: kindKey, ID: k.ID}
			if !sameCreator(from.creator, k.CreatedBy) || k.Created.Before(from.since) {
				if given := w.retire(ctx, k, from); !given.IsZero() {
					further = append(further, source{key, w.earliest(given)})
				}
				continue
			}
			if !k.Disabled {
				w.disable(ctx, k.ID)
			}
			// A key that was disabled already may have created others before.
			further = append(further, source{creator: key})
		}
	}
	return further, nil
}

// earliest returns the earliest time that another replica may have recorded for what
// happened after at. Either clock may differ from the store's by MaxClockSkew.
func (w *walk) earliest(at time.Time) time.Time { return at.Add(-2 * w.service.cfg.MaxClockSkew) }

// logEntries reads from the audit log which keys the creator and all keys created, and to
// which keys other keys gave credentials. For a key that was deleted, and for a credential
// that was replaced, only the log says where they came from.
func (w *walk) logEntries(ctx context.Context, creator store.ActorRef) (byCreator map[store.ActorRef][]logEntry, err error) {
	byCreator = map[store.ActorRef][]logEntry{}
	for _, action := range []string{audit.Create, audit.Import, audit.Rotate, audit.AddCredential} {
		q := store.EventQuery{Action: action, Limit: store.MaxPage}
		for more := true; more; more = q.After != nil {
			page, err := w.service.store.Events.List(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("apikey: list events: %w", err)
			}
			q.After = page.Next
			for _, event := range page.Events {
				entry := logEntry{source{creator: store.ActorRef{Kind: kindKey, ID: event.Key}}, event.Time}
				byKey := event.Actor.Kind == kindKey
				if action == audit.Rotate || action == audit.AddCredential {
					if !byKey || event.Actor.ID == event.Key {
						continue
					}
					entry.since = w.earliest(event.Time)
				}
				if sameCreator(creator, event.Actor) {
					byCreator[creator] = append(byCreator[creator], entry)
				} else if byKey {
					byCreator[event.Actor] = append(byCreator[event.Actor], entry)
				}
			}
		}
	}
	return byCreator, nil
}

// disable disables a key. It is no error if the key was deleted.
func (w *walk) disable(ctx context.Context, id string) {
	w.alter(ctx, id, audit.Disable, func(k *store.Key) int {
		if k.Disabled {
			return 0
		}
		k.Disabled = true
		return 1
	})
}

// retire retires the credentials that a source gave to the key k. If the source is a key
// other than k, retire returns when the first of these was created: since then the source
// could act as k. For any other source, and if it gave k no credential, retire returns
// zero.
func (w *walk) retire(ctx context.Context, k *store.Key, from source) (first time.Time) {
	given := func(c store.Credential) bool {
		return sameCreator(from.creator, c.CreatedBy) && !c.Created.Before(from.since)
	}
	if !slices.ContainsFunc(k.Credentials, given) {
		return first
	}
	for _, c := range k.Credentials {
		if given(c) && c.CreatedBy.Kind == kindKey && c.CreatedBy.ID != k.ID {
			first = c.Created
			break // they are in order
		}
	}
	w.alter(ctx, k.ID, audit.Retire, func(k *store.Key) int {
		before := len(k.Credentials)
		k.Credentials = slices.DeleteFunc(k.Credentials, given)
		return before - len(k.Credentials)
	})
	return first
}

// alter changes a key with apply, which returns 1 if it disabled the key, or how many
// credentials it retired.
func (w *walk) alter(ctx context.Context, id, action string, apply func(*store.Key) int) {
	count := 0
	_, err := w.service.alter(ctx, w.actor, id, alteration{
		action: action, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			count = apply(k)
			return nil
		},
	})
	switch {
	case err == nil:
		w.ended += count
	case errors.Is(err, store.ErrConflict):
		w.unfinished = true
	case errors.Is(err, store.ErrNotFound): // deleted meanwhile
	default:
		w.problems = append(w.problems, err)
	}
}

// sameCreator reports whether a recorded creator is the one asked for. A person as
// an admin and as an owner is the same creator; a key with that person's id is
// another one.
func sameCreator(asked, recorded store.ActorRef) bool {
	person := func(kind string) bool { return kind == kindAdmin || kind == kindOwner }
	return asked.ID == recorded.ID &&
		(asked.Kind == "" || asked.Kind == recorded.Kind || person(asked.Kind) && person(recorded.Kind))
}
