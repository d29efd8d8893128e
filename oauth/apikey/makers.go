package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// DisableAllBy disables what one person or key made: every key, in all
// workspaces, and every key that those keys made in turn, even if they were
// deleted since and their events are still there. It also retires the secrets
// that any of them gave to other keys by rotating them. It is for when an owner
// leaves or a key leaked. maker is a key, which is disabled first, or a
// person in whatever role; with an empty Kind it is both. It returns how many
// keys it disabled and secrets it retired.
//
// When it has returned without an error, nothing that a key made is alive, even
// if that key was at work meanwhile. A person whose rights the host has not taken
// away goes on, of course: store.ErrConflict says that somebody was still making
// keys after several rounds. It goes on after other failures and joins the
// errors. For an organization admin.
func (s *Service) DisableAllBy(ctx context.Context, actor Actor, maker store.ActorRef) (int, error) {
	if err := s.mustAdminister(ctx, actor, ActionDisable); err != nil {
		return 0, err
	}
	if maker.ID == "" {
		return 0, invalid("maker", "It may not be empty.")
	}
	w := &walk{service: s, actor: actor, seen: map[store.ActorRef]bool{}}
	// A key that was disabled makes nothing more, so that a round finds all. A
	// person, or a key that could not be disabled for all that it did meanwhile,
	// may have been at it while the round ran.
	for n := 1; ; n++ {
		before := w.ended
		w.moved = false
		if maker.Kind == string(roleKey) || maker.Kind == "" {
			w.disable(ctx, maker.ID)
		}
		err := w.round(ctx, maker)
		switch {
		case err != nil:
			return w.ended, errors.Join(append(w.problems, err)...)
		case w.ended == before && !w.moved || len(w.problems) > 0:
			return w.ended, errors.Join(w.problems...)
		case n == maxAttempts:
			return w.ended, fmt.Errorf("apikey: disable all: the maker is still at work: %w", store.ErrConflict)
		}
	}
}

// walk goes down from a maker to the keys that it made, and from there on.
type walk struct {
	service  *Service
	actor    Actor
	seen     map[store.ActorRef]bool // makers of this round
	ended    int
	moved    bool // a key changed in this round as often as it was tried
	problems []error
}

// round goes through all that the maker made, and those keys made.
func (w *walk) round(ctx context.Context, maker store.ActorRef) error {
	if !w.service.cfg.Management.makesKeys() {
		_, err := w.end(ctx, maker)
		return err
	}
	logged, err := w.logged(ctx, maker)
	if err != nil {
		return err
	}
	clear(w.seen)
	for makers := []store.ActorRef{maker}; len(makers) > 0; makers = makers[1:] {
		if w.seen[makers[0]] {
			continue
		}
		w.seen[makers[0]] = true
		made, err := w.end(ctx, makers[0])
		if err != nil {
			return err
		}
		makers = append(append(makers, made...), logged[makers[0]]...)
	}
	return nil
}

// end ends what one maker made, and returns the keys.
func (w *walk) end(ctx context.Context, maker store.ActorRef) (made []store.ActorRef, err error) {
	// Newest first: what is made meanwhile does not make the list longer.
	q := store.KeyQuery{MadeBy: maker.ID, Descending: true, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := w.service.store.Keys.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("apikey: list keys: %w", err)
		}
		q.After = page.Next
		for i := range page.Keys {
			k := &page.Keys[i]
			if !sameMaker(maker, k.CreatedBy) {
				w.retire(ctx, k, maker)
				continue
			}
			if !k.Disabled {
				w.disable(ctx, k.ID)
			}
			// One that was disabled already may have made others before.
			made = append(made, store.ActorRef{Kind: string(roleKey), ID: k.ID})
		}
	}
	return made, nil
}

// logged returns what the maker and all keys made by the audit log: what a key
// made that was deleted since has no other trace of where it came from.
func (w *walk) logged(ctx context.Context, maker store.ActorRef) (made map[store.ActorRef][]store.ActorRef, err error) {
	made = map[store.ActorRef][]store.ActorRef{}
	for _, action := range []string{ActionCreate, ActionImport} {
		q := store.EventQuery{Action: action, Limit: store.MaxPage}
		for more := true; more; more = q.After != nil {
			page, err := w.service.store.Events.List(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("apikey: list events: %w", err)
			}
			q.After = page.Next
			for _, event := range page.Events {
				key := store.ActorRef{Kind: string(roleKey), ID: event.Key}
				if sameMaker(maker, event.Actor) {
					made[maker] = append(made[maker], key)
				} else if event.Actor.Kind == string(roleKey) {
					made[event.Actor] = append(made[event.Actor], key)
				}
			}
		}
	}
	return made, nil
}

// makesKeys reports whether keys can make keys at all.
func (m Management) makesKeys() bool { return m.Save != "" || m.AdminSave != "" }

// disable disables a key, unless it is gone.
func (w *walk) disable(ctx context.Context, id string) {
	s, disabled := w.service, false
	_, err := s.alter(ctx, w.actor, id, alteration{
		action: ActionDisable, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			disabled = !k.Disabled
			return disable(k)
		},
	})
	w.note(err, disabled, 1)
}

// retire retires the secrets of a key that the maker gave to it.
func (w *walk) retire(ctx context.Context, k *store.Key, maker store.ActorRef) {
	given := func(secret store.Secret) bool { return sameMaker(maker, secret.CreatedBy) }
	if !slices.ContainsFunc(k.Secrets, given) {
		return
	}
	retired := 0
	_, err := w.service.alter(ctx, w.actor, k.ID, alteration{
		action: ActionRetire, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			held := len(k.Secrets)
			k.Secrets = slices.DeleteFunc(k.Secrets, given)
			if retired = held - len(k.Secrets); retired == 0 {
				return errUnchanged
			}
			return nil
		},
	})
	w.note(err, true, retired)
}

func (w *walk) note(err error, changed bool, count int) {
	switch {
	case err == nil && changed:
		w.ended += count
	case errors.Is(err, store.ErrConflict):
		w.moved = true
	case err != nil && !errors.Is(err, store.ErrNotFound): // deleted meanwhile
		w.problems = append(w.problems, err)
	}
}

// sameMaker reports whether the maker that was asked for is the one of a record.
// A person is the same in every role; a key with the id of a person is not.
func sameMaker(asked, recorded store.ActorRef) bool {
	person := func(kind string) bool {
		return kind == string(roleAdmin) || kind == string(Owner) || kind == string(Manager)
	}
	return asked.ID == recorded.ID &&
		(asked.Kind == "" || asked.Kind == recorded.Kind || person(asked.Kind) && person(recorded.Kind))
}
