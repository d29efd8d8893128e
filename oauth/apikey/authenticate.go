package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Credentials are what a program presents to log in.
type Credentials struct {
	ID     string
	Secret string
	// Address is the client's, for budgets and policies. Invalid: unknown.
	Address netip.Addr
}

// Login is a key that has proved one of its secrets. It is made by
// Authenticate and used by Issue.
type Login struct {
	found   store.Found
	secret  store.Secret
	address netip.Addr
	now     time.Time
}

// Key returns the key that logged in, its digests and epoch blanked.
func (l *Login) Key() store.Key {
	key := l.found.Key.Clone()
	key.Epoch = 0
	return key
}

// Authenticate proves that the caller holds a secret of a live key: one read
// and one digest. Unknown id and wrong secret are ErrInvalidCredentials,
// whatever the key's state, and both come after Config.RefuseAfter; too many
// of those are a *ThrottledError, while a correct generated secret is never
// throttled. Who proves a secret of a key that may not log in gets a
// *RefusedError. An outage wraps store.ErrUnavailable.
func (s *Service) Authenticate(ctx context.Context, c Credentials) (*Login, error) {
	login := new(Login)
	if err := s.authenticate(ctx, c, login); err != nil {
		return nil, err
	}
	return login, nil
}

// authenticate fills in a login.
func (s *Service) authenticate(ctx context.Context, c Credentials, l *Login) error {
	l.address, l.now = c.Address, s.now()
	if err := s.proved(ctx, c, l); err != nil {
		return err
	}
	if err := s.live(ctx, &l.found, l.now); err != nil {
		return s.refuse(c, l, err)
	}
	// Nobody needs the digests any more.
	l.secret.Digest = ""
	for i := range l.found.Key.Secrets {
		l.found.Key.Secrets[i].Digest = ""
	}
	return nil
}

// proved finds the key and checks the secret, and nothing else. The time that
// a refusal takes does not tell what was found.
func (s *Service) proved(ctx context.Context, c Credentials, l *Login) error {
	start := realTime()
	_, generated := s.prefixOf(c.Secret)
	if !generated && !s.cfg.Imported || !validID(c.ID) || len(c.Secret) > maxImportedSecret {
		// Nothing that this service made looks like this: no read.
		return s.refuse(c, l, s.failed(ctx, c, l.now, errMalformed))
	}
	ok, err := s.prove(ctx, c, l, generated)
	if ok {
		return nil
	}
	if err == nil {
		err = s.failed(ctx, c, l.now, ErrInvalidCredentials)
	}
	err = s.refuse(c, l, err)
	if !errors.Is(err, store.ErrUnavailable) {
		s.hold(ctx, start)
	}
	return err
}

func (s *Service) prove(ctx context.Context, c Credentials, l *Login, generated bool) (ok bool, err error) {
	err = lookupInto(ctx, s.reads, c.ID, &l.found)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("apikey: find key: %w", outage(err))
	}
	if generated {
		ok, err = s.checkGenerated(ctx, l, c.Secret)
		if ok || err != nil {
			return ok, err
		}
	}
	if !s.cfg.Imported {
		return false, nil
	}
	return s.checkImportedSecret(ctx, l, c)
}

// checkGenerated compares a secret of Latchkey's own format: exactly one
// digest is computed, whether the key exists, has that secret, or not.
func (s *Service) checkGenerated(ctx context.Context, l *Login, plain string) (bool, error) {
	id := secretIDChars(plain)
	b := binding{keyID: l.found.Key.ID, workspace: l.found.Key.Workspace, secretID: string(id[:]), secret: plain}
	for i := range l.found.Key.Secrets {
		kept := &l.found.Key.Secrets[i]
		if kept.ID != b.secretID || isSlow(kept.Digest) || ended(kept.NotAfter, l.now) {
			continue
		}
		ok, outdated, err := s.hasher.verify(kept.Digest, b)
		if err != nil {
			return false, fmt.Errorf("apikey: key %s: %w: %w", l.found.Key.ID, store.ErrUnavailable, err)
		}
		if !ok {
			return false, nil
		}
		l.secret = *kept
		if outdated {
			s.rehash(ctx, l.found.Key.ID, *kept, b)
		}
		return true, nil
	}
	s.hasher.dummy(b)
	return false, nil
}

// checkImportedSecret compares a secret that came with Import: the digests it
// may match are few, and the slow ones run under a gate and after a budget of
// their own: only guesses at such digests spend it. One that the gate turned
// away counts as well, since it was compared with what the gate remembers.
func (s *Service) checkImportedSecret(ctx context.Context, l *Login, c Credentials) (ok bool, err error) {
	guessed := false
	defer func() {
		if guessed && !ok {
			s.guesses.fail(ctx, c.Address, c.ID, l.now)
		}
	}()
	for _, kept := range l.found.Key.Secrets {
		if ended(kept.NotAfter, l.now) || kept.ID == secretID(c.Secret) {
			continue
		}
		b := binding{keyID: l.found.Key.ID, workspace: l.found.Key.Workspace, secretID: kept.ID, secret: c.Secret}
		var outdated bool
		if isSlow(kept.Digest) {
			if wait, over := s.guesses.over(ctx, c.Address, c.ID, l.now); over {
				return false, &ThrottledError{RetryAfter: wait}
			}
			guessed = true
			ok, err = s.slow.verify(ctx, l.found.Key.ID, kept.Digest, c.Secret)
			outdated = kept.Generated
		} else {
			ok, outdated, err = s.hasher.verify(kept.Digest, b)
		}
		if err != nil {
			return false, fmt.Errorf("apikey: key %s: %w: %w", l.found.Key.ID, store.ErrUnavailable, err)
		}
		if ok {
			l.secret = kept
			if outdated {
				s.rehash(ctx, l.found.Key.ID, kept, b)
			}
			return true, nil
		}
	}
	return false, nil
}

// rehash replaces a digest of a pepper with a lower version, or a slow one whose importer
// declared the secret generated. Failing to is no reason to refuse a login.
func (s *Service) rehash(ctx context.Context, keyID string, old store.Secret, b binding) {
	fresh := old
	fresh.Digest = s.hasher.digest(b)
	err := s.record(ctx, entriesOf(fresh)...)
	if err == nil {
		err = s.store.Upkeep.Rehash(ctx, keyID, old.ID, old.Digest, fresh.Digest)
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.cfg.Logger.WarnContext(ctx, "a digest could not be rewritten; the next login tries again", "key", keyID, "error", err)
	}
}

// live refuses a key that has proved its secret but may not log in.
func (s *Service) live(ctx context.Context, f *store.Found, now time.Time) error {
	instance := s.effective(f.Instance)
	switch {
	case instance.KeysOff:
		return &RefusedError{"keys_off", "API keys are switched off."}
	case f.Workspace.Deleted, f.Workspace.Suspended:
		return &RefusedError{"suspended", "The workspace of this API key is suspended."}
	case f.Key.Disabled:
		return &RefusedError{"disabled", "This API key is disabled."}
	case ended(f.Key.NotAfter, now):
		return &RefusedError{"expired", "This API key has expired."}
	}
	return s.askHost(ctx, f.Key.Workspace)
}

// askHost asks Config.Workspaces, if there is one.
func (s *Service) askHost(ctx context.Context, workspace string) error {
	if s.cfg.Workspaces == nil {
		return nil
	}
	err := s.cfg.Workspaces(ctx, workspace)
	switch {
	case err == nil:
		return nil
	case store.IsOutage(err): // even if it wraps other errors, too
	case errors.Is(err, ErrWorkspaceSuspended), errors.Is(err, ErrWorkspaceUnknown):
		return &RefusedError{"suspended", "The workspace of this API key is suspended."}
	}
	return hostOutage("the host could not tell of the workspace", err)
}

// hostOutage turns err, which the host's code returned, into an outage. It drops
// what err wraps, such as a denial or store.ErrNotFound: callers would take that
// for a decision.
func hostOutage(what string, err error) error {
	return fmt.Errorf("apikey: %s: %w: %s", what, store.ErrUnavailable, err.Error())
}

// outage makes whatever a store failed with one of the errors that callers
// answer 503 to: a driver may return its own.
func outage(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// failed counts a failure and says how to refuse it.
func (s *Service) failed(ctx context.Context, c Credentials, now time.Time, err error) error {
	if wait, over := s.budget.fail(ctx, c.Address, c.ID, now); over {
		return &ThrottledError{RetryAfter: wait}
	}
	return err
}

// ended reports whether an instant, zero for never, has come.
func ended(notAfter, now time.Time) bool { return !notAfter.IsZero() && !now.Before(notAfter) }

// blank returns k as callers see it: without digests, and without an epoch, which
// the store sets when it writes.
func blank(k store.Key) store.Key {
	k = k.Clone()
	k.Epoch = 0
	for i := range k.Secrets {
		k.Secrets[i].Digest = ""
	}
	return k
}
