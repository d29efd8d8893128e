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

// DisableAllBy disables what one person or key made: every key, in all
// workspaces, and every key that those keys made in turn, even if they were
// deleted since and their events are still there. It also retires the secrets
// that any of them gave to other keys by rotating them. Whoever has such a secret
// can act as the other key: where a key gave it, what the other key made since then
// ends as well. Of a person who rotated a key only the secret ends: what the key
// made since then is for the caller to look at.
//
// It is for when an owner leaves or a key leaked. maker is a key, which is disabled
// first, or a person, whether as an owner or as an organization admin; with an empty
// Kind it is both. It returns how many keys it disabled and secrets it retired.
//
// When it has returned without an error, nothing that a key made is alive, even
// if that key was at work meanwhile. A person whose rights the host has not taken
// away goes on, of course: store.ErrConflict says that somebody was still making
// keys, or that keys enabled one another faster than they were disabled, after several
// rounds: suspend their workspaces, or switch keys off, and call it again. It goes on
// after other failures and joins the errors. For an organization admin.
func (s *Service) DisableAllBy(ctx context.Context, actor Actor, maker store.ActorRef) (int, error) {
	if err := s.mayAdminister(ctx, actor, audit.Disable); err != nil {
		return 0, err
	}
	if maker.ID == "" {
		return 0, invalid("maker", "It may not be empty.")
	}
	w := &walk{service: s, actor: actor, seen: map[store.ActorRef]time.Time{}}
	// A disabled key makes nothing more, so that one round finds all that it made.
	// There are more rounds for a person, who may be making keys meanwhile, and for
	// a key that could not be disabled because it kept changing.
	for n := 1; ; n++ {
		before := w.ended
		w.moved = false
		if maker.Kind == kindKey || maker.Kind == "" {
			// In each round: one of its keys may have enabled it again.
			w.disable(ctx, maker.ID)
		}
		err := w.round(ctx, maker)
		switch {
		case err != nil:
			return w.ended, errors.Join(append(w.problems, err)...)
		case w.ended == before && !w.moved || len(w.problems) > 0:
			return w.ended, errors.Join(w.problems...)
		case n == maxRounds:
			return w.ended, fmt.Errorf("apikey: disable all: the maker is still at work: %w", store.ErrConflict)
		}
	}
}

// maxRounds bounds how often DisableAllBy looks for more.
const maxRounds = 10

// walk goes down from a maker to the keys that it made, and from there on.
type walk struct {
	service  *Service
	actor    Actor
	seen     map[store.ActorRef]time.Time // makers of this round, and since when
	ended    int
	moved    bool // in this round a key kept changing and was not disabled
	problems []error
}

// source is a maker of what is to end: of all that it made, or of what it made
// since somebody else could act as it.
type source struct {
	maker store.ActorRef
	since time.Time
}

// logged is a source that the audit log tells of.
type logged struct {
	source
	at time.Time
}

// round goes through all that the maker made, and those keys made.
func (w *walk) round(ctx context.Context, maker store.ActorRef) error {
	if !w.service.cfg.Management.makesKeys() {
		_, err := w.end(ctx, source{maker: maker})
		return err
	}
	log, err := w.log(ctx, maker)
	if err != nil {
		return err
	}
	clear(w.seen)
	for sources := []source{{maker: maker}}; len(sources) > 0; sources = sources[1:] {
		from := sources[0]
		if since, seen := w.seen[from.maker]; seen && !from.since.Before(since) {
			continue
		}
		w.seen[from.maker] = from.since
		made, err := w.end(ctx, from)
		if err != nil {
			return err
		}
		sources = append(sources, made...)
		for _, entry := range log[from.maker] {
			if !entry.at.Before(from.since) {
				sources = append(sources, entry.source)
			}
		}
	}
	return nil
}

// end ends what one source made, and returns the keys as sources in turn.
func (w *walk) end(ctx context.Context, from source) (made []source, err error) {
	// Newest first: what is made meanwhile does not make the list longer.
	q := store.KeyQuery{MadeBy: from.maker.ID, Descending: true, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := w.service.store.Keys.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("apikey: list keys: %w", err)
		}
		q.After = page.Next
		for i := range page.Keys {
			k := &page.Keys[i]
			key := store.ActorRef{Kind: kindKey, ID: k.ID}
			if !sameMaker(from.maker, k.CreatedBy) || k.Created.Before(from.since) {
				if given := w.retire(ctx, k, from); !given.IsZero() {
					made = append(made, source{key, w.around(given)})
				}
				continue
			}
			if !k.Disabled {
				w.disable(ctx, k.ID)
			}
			// One that was disabled already may have made others before.
			made = append(made, source{maker: key})
		}
	}
	return made, nil
}

// around is the instant from which on replicas may have written down what came
// after at.
func (w *walk) around(at time.Time) time.Time { return at.Add(-w.service.cfg.MaxClockSkew) }

// log returns what the maker and all keys made, and the secrets that keys gave to
// others, by the audit log: what a key made that was deleted since has no other
// trace of where it came from, nor has a secret that was replaced.
func (w *walk) log(ctx context.Context, maker store.ActorRef) (made map[store.ActorRef][]logged, err error) {
	made = map[store.ActorRef][]logged{}
	for _, action := range []string{audit.Create, audit.Import, audit.Rotate} {
		q := store.EventQuery{Action: action, Limit: store.MaxPage}
		for more := true; more; more = q.After != nil {
			page, err := w.service.store.Events.List(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("apikey: list events: %w", err)
			}
			q.After = page.Next
			for _, event := range page.Events {
				entry := logged{source{maker: store.ActorRef{Kind: kindKey, ID: event.Key}}, event.Time}
				byKey := event.Actor.Kind == kindKey
				if action == audit.Rotate {
					if !byKey || event.Actor.ID == event.Key {
						continue
					}
					entry.since = w.around(event.Time)
				}
				if sameMaker(maker, event.Actor) {
					made[maker] = append(made[maker], entry)
				} else if byKey {
					made[event.Actor] = append(made[event.Actor], entry)
				}
			}
		}
	}
	return made, nil
}

// makesKeys reports whether keys can make keys at all.
func (m Management) makesKeys() bool { return m.Save != "" || m.AdminSave != "" }

// disable disables a key, unless it was deleted.
func (w *walk) disable(ctx context.Context, id string) {
	w.alter(ctx, id, audit.Disable, func(k *store.Key) int {
		if k.Disabled {
			return 0
		}
		k.Disabled = true
		return 1
	})
}

// retire retires the secrets of a key that a source gave to it. It returns when a
// key gave the first of them to another one.
func (w *walk) retire(ctx context.Context, k *store.Key, from source) (first time.Time) {
	given := func(secret store.Secret) bool {
		return sameMaker(from.maker, secret.CreatedBy) && !secret.Created.Before(from.since)
	}
	if !slices.ContainsFunc(k.Secrets, given) {
		return first
	}
	for _, secret := range k.Secrets {
		if given(secret) && secret.CreatedBy.Kind == kindKey && secret.CreatedBy.ID != k.ID {
			first = secret.Created
			break // they are in order
		}
	}
	w.alter(ctx, k.ID, audit.Retire, func(k *store.Key) int {
		held := len(k.Secrets)
		k.Secrets = slices.DeleteFunc(k.Secrets, given)
		return held - len(k.Secrets)
	})
	return first
}

// alter ends something of a key; end returns how many it ended.
func (w *walk) alter(ctx context.Context, id, action string, end func(*store.Key) int) {
	ended := 0
	_, err := w.service.alter(ctx, w.actor, id, alteration{
		action: action, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			ended = end(k)
			return nil
		},
	})
	switch {
	case err == nil:
		w.ended += ended
	case errors.Is(err, store.ErrConflict):
		w.moved = true
	case !errors.Is(err, store.ErrNotFound): // deleted meanwhile
		w.problems = append(w.problems, err)
	}
}

// sameMaker reports whether the maker that was asked for is the one of a record.
// A person is the same as an administrator and as an owner; a key with the id of a person is not.
func sameMaker(asked, recorded store.ActorRef) bool {
	person := func(kind string) bool { return kind == kindAdmin || kind == kindOwner }
	return asked.ID == recorded.ID &&
		(asked.Kind == "" || asked.Kind == recorded.Kind || person(asked.Kind) && person(recorded.Kind))
}
