package oauthtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// CheckStore tests a storage driver that already passes package storetest. Callers that
// create keys and rotate secrets race against a call that ends their right to do so.
// Once that call has returned, no further key may be created. Each race runs for the
// given number of rounds; t.Errorf is called once for each race that fails. st must not
// be used for anything else: CheckStore leaves settings and deleted workspaces in it.
func CheckStore(t testing.TB, st store.Store, rounds int) {
	t.Helper()
	for _, r := range []race{
		{"Disable of a key that makes keys", asLeakedKey, (*raceRound).disable},
		{"DisableAllBy of a key that makes keys", asLeakedKeys, (*raceRound).disableAll},
		{"SaveSettings with MaxKeys 1", asMember, withSettings(store.Instance{Rules: store.Rules{MaxKeys: 1}})},
		{"SaveSettings with RequireExpiry", asMember, withSettings(store.Instance{Rules: store.Rules{RequireExpiry: true}})},
		{"SaveSettings with KeysOff", asMember, withSettings(store.Instance{KeysOff: true})},
		{"Suspend", asMember, (*raceRound).suspend},
	} {
		for round := range rounds {
			s, err := newRaceRound(t.Context(), st, fmt.Sprintf("%s, round %d", r.name, round))
			if err != nil {
				t.Fatalf("oauthtest: CheckStore: %s: %v", r.name, err)
			}
			if err := r.run(s); err != nil {
				t.Errorf("%s, round %d of %d: %v", r.name, round+1, rounds, err)
				break
			}
		}
	}
}

// racers is the number of concurrent callers.
const racers = 6

func raceCatalog() *scope.Catalog {
	return scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "keys.save"}, {Name: "project.list"}}})
}

// race is one way to end the right of callers.
type race struct {
	name string
	// caller returns the call that each caller repeats until it is refused.
	caller func(*raceRound) func(context.Context) error
	// end ends the callers' right. alive lists the keys that work although
	// they should not.
	end func(*raceRound, context.Context) (alive func(context.Context) ([]string, error), err error)
}

// raceRound is one round of a race, in its own workspace.
type raceRound struct {
	admin     apikey.Actor
	all       scope.Set
	workspace string
	// replicas are two services on one store.
	replicas [2]*apikey.Service
	leaked   apikey.Key
	victim   apikey.Key // a person's key, which the leaked key may rotate
	mu       sync.Mutex
	children []apikey.Key
	made     int
}

func newRaceRound(ctx context.Context, st store.Store, workspace string) (*raceRound, error) {
	catalog := raceCatalog()
	s := &raceRound{admin: apikey.OrganizationAdmin("oauthtest"), all: catalog.All(), workspace: workspace}
	for i := range s.replicas {
		var err error
		if s.replicas[i], err = apikey.New(st, apikey.Config{
			Permissions: catalog,
			Logger:      slog.New(slog.DiscardHandler),
			Options: apikey.Options{
				Management: apikey.Management{Save: "keys.save"},
				Peppers:    []apikey.Pepper{{Version: 1, Key: padded("pepper of oauthtest.CheckStore")}},
			},
		}); err != nil {
			return nil, err
		}
	}
	if err := s.saveSettings(ctx, store.Instance{}); err != nil {
		return nil, err
	}
	for _, k := range []*apikey.Key{&s.leaked, &s.victim} {
		var err error
		if *k, err = s.createKey(ctx, s.admin); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// padded returns text with 32 dots after it: a pepper has at least 32 bytes.
func padded(text string) []byte { return append([]byte(text), "................................"...) }

func (s *raceRound) saveSettings(ctx context.Context, wanted store.Instance) error {
	now, err := s.replicas[0].Settings(ctx, s.admin)
	if err != nil {
		return err
	}
	wanted.Version = now.Version
	_, err = s.replicas[0].SaveSettings(ctx, s.admin, store.InstanceSettings{Instance: wanted})
	return err
}

func (s *raceRound) createKey(ctx context.Context, actor apikey.Actor) (apikey.Key, error) {
	s.mu.Lock()
	s.made++
	replica := s.replicas[s.made%len(s.replicas)]
	s.mu.Unlock()
	key, _, err := replica.Create(ctx, actor, apikey.Spec{Workspace: s.workspace, Name: "race", Permissions: s.all})
	return key, err
}

// asLeakedKey creates keys as the leaked key.
func asLeakedKey(s *raceRound) func(context.Context) error {
	actor := apikey.ByKey(s.leaked.ID, s.all, "")
	return func(ctx context.Context) error {
		_, err := s.createKey(ctx, actor)
		return err
	}
}

// asLeakedKeys creates keys as the leaked key and as the keys that it created. It
// rotates the victim as any of them, and acts as the victim, until all are refused.
func asLeakedKeys(s *raceRound) func(context.Context) error {
	s.children = []apikey.Key{s.leaked}
	return func(ctx context.Context) error {
		s.mu.Lock()
		if len(s.children) == 0 {
			s.mu.Unlock()
			return &apikey.ForbiddenError{Reason: "No key is left that may create another."}
		}
		key := s.children[s.made%len(s.children)]
		enough := s.made > 100
		s.mu.Unlock()
		actor := apikey.ByKey(key.ID, s.all, "")
		if !enough && key.Depth < 3 {
			child, err := s.createKey(ctx, actor)
			if isForbidden(err) {
				s.drop(key)
				return nil
			}
			if err != nil {
				return err
			}
			s.mu.Lock()
			s.children = append(s.children, child)
			s.mu.Unlock()
		}
		victim, _, err := s.replicas[0].Rotate(ctx, actor, s.victim.ID, apikey.Rotation{})
		switch {
		case isForbidden(err):
			s.drop(key)
			return nil
		case errors.Is(err, store.ErrConflict): // another caller rotated it
			return nil
		case err != nil:
			return err
		}
		return s.actAsVictim(ctx, victim, enough)
	}
}

// actAsVictim acts as the victim, whose secret the leaked key has just replaced: it
// rotates the victim once more and creates a key.
func (s *raceRound) actAsVictim(ctx context.Context, victim apikey.Key, enough bool) error {
	asVictim := func() apikey.Actor {
		return apikey.ByKey(victim.ID, s.all, victim.Credentials[len(victim.Credentials)-1].ID)
	}
	victim, _, err := s.replicas[1].Rotate(ctx, asVictim(), victim.ID, apikey.Rotation{})
	if err == nil && !enough {
		_, err = s.createKey(ctx, asVictim())
	}
	if isForbidden(err) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// drop removes a key that was refused from the keys that callers use.
func (s *raceRound) drop(key apikey.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.children = slices.DeleteFunc(s.children, func(k apikey.Key) bool { return k.ID == key.ID })
}

// asMember creates keys as a person.
func asMember(s *raceRound) func(context.Context) error {
	actor := apikey.Owner("olga", s.workspace)
	return func(ctx context.Context) error {
		_, err := s.createKey(ctx, actor)
		return err
	}
}

func (s *raceRound) disable(ctx context.Context) (func(context.Context) ([]string, error), error) {
	if _, err := s.replicas[0].Disable(ctx, s.admin, s.leaked.ID, 0); err != nil {
		return nil, err
	}
	return s.since(ctx, func(k apikey.Key) bool { return k.CreatedBy.ID == s.leaked.ID })
}

func (s *raceRound) disableAll(ctx context.Context) (func(context.Context) ([]string, error), error) {
	if _, err := s.replicas[0].DisableAllBy(ctx, s.admin, store.ActorRef{Kind: "key", ID: s.leaked.ID}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]string, error) {
		return s.list(ctx, func(k apikey.Key) bool {
			if k.CreatedBy.Kind == "key" || k.ID == s.leaked.ID {
				return !k.Disabled
			}
			for _, secret := range k.Credentials {
				if secret.CreatedBy.Kind == "key" {
					return true
				}
			}
			return false
		})
	}, nil
}

func (s *raceRound) suspend(ctx context.Context) (func(context.Context) ([]string, error), error) {
	if err := s.replicas[0].SetSuspended(ctx, s.admin, s.workspace, true); err != nil {
		return nil, err
	}
	return s.since(ctx, func(apikey.Key) bool { return true })
}

func withSettings(wanted store.Instance) func(*raceRound, context.Context) (func(context.Context) ([]string, error), error) {
	return func(s *raceRound, ctx context.Context) (func(context.Context) ([]string, error), error) {
		if err := s.saveSettings(ctx, wanted); err != nil {
			return nil, err
		}
		return s.since(ctx, func(apikey.Key) bool { return true })
	}
}

// since returns a function that lists matching keys that were created after now.
func (s *raceRound) since(ctx context.Context, match func(apikey.Key) bool) (func(context.Context) ([]string, error), error) {
	before, err := s.list(ctx, match)
	known := map[string]bool{}
	for _, id := range before {
		known[id] = true
	}
	return func(ctx context.Context) ([]string, error) {
		return s.list(ctx, func(k apikey.Key) bool { return match(k) && !known[k.ID] })
	}, err
}

func (s *raceRound) list(ctx context.Context, match func(apikey.Key) bool) (ids []string, err error) {
	q := store.KeyQuery{Workspace: s.workspace, Limit: store.MaxPage}
	for more := true; more; more = q.After != nil {
		page, err := s.replicas[1].List(ctx, s.admin, q)
		if err != nil {
			return nil, err
		}
		for _, k := range page.Keys {
			if match(k) {
				ids = append(ids, k.ID)
			}
		}
		q.After = page.Next
	}
	return ids, nil
}

// run starts the callers, ends their right, and lists the keys that still work: at
// once, and after all callers have stopped.
func (r race) run(s *raceRound) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var callers sync.WaitGroup
	begun, problems := make(chan struct{}, racers), make(chan error, racers)
	call := r.caller(s)
	for range racers {
		callers.Go(func() {
			err := call(ctx)
			begun <- struct{}{}
			for err == nil {
				err = call(ctx)
			}
			var denied *policy.Denied
			if !isForbidden(err) && !errors.Is(err, store.ErrConflict) && !errors.As(err, &denied) {
				problems <- err
			}
		})
	}
	for range racers / 2 { // half of the callers have called at least once
		<-begun
	}
	alive, err := r.end(s, ctx)
	var found []string
	if err == nil {
		found, err = alive(ctx)
	}
	if err != nil {
		cancel()
	}
	callers.Wait()
	close(problems)
	if err != nil {
		return fmt.Errorf("the call that ends the callers' right failed: %w", err)
	}
	if err := <-problems; err != nil {
		return fmt.Errorf("a caller failed: %w", err)
	}
	late, err := alive(ctx)
	if err != nil {
		return err
	}
	if err := s.replicas[0].DeleteWorkspace(ctx, s.admin, s.workspace); err != nil {
		return err
	}
	if len(found)+len(late) > 0 {
		return fmt.Errorf("%d keys worked after the call returned, and %d after the callers stopped; the driver must check the preconditions of a change in the same atomic step as its write", len(found), len(late))
	}
	return nil
}

func isForbidden(err error) bool {
	_, is := errors.AsType[*apikey.ForbiddenError](err)
	return is
}
