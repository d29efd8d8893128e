package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// Where epochs live in another system than the keys, a change and its epoch
// cannot be one write. Then a change that ends tokens takes three steps: the
// epoch is raised by one, the record is written with the epoch raised by two,
// and the epoch is raised to that. The order of a login's reads (readMarks)
// makes the rest: a token issued before the record was written has at most the
// first epoch and ends with the third step, and a change that failed after the
// first step has only forced a login.

// apart reports whether epochs live in another system than the keys.
func (s *Service) apart() bool { return !s.store.Epochs.With(s.store.Keys) }

// announce is the first step of a change of one key, before is nil for a new
// one. It may raise after.Epoch further.
func (s *Service) announce(ctx context.Context, before, after *store.Key) error {
	if !s.apart() || before != nil && !measured(before, after) {
		return nil
	}
	state, err := s.store.Epochs.Read(ctx, store.TokenRef{Workspace: after.Workspace, Key: after.ID})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("apikey: read epochs: %w", err)
	}
	mark := markOf(after)
	switch {
	case before == nil:
		// Left behind by a key of the same id, or by a creation that failed.
		after.Epoch = max(after.Epoch, state.Key+1)
		mark.Epoch = after.Epoch
	case after.Epoch > before.Epoch || lostSecret(before, after):
		mark.Epoch = max(before.Epoch, state.Key) + 1
		after.Epoch = mark.Epoch + 1
	}
	return s.raise(ctx, mark)
}

// confirm is the last step, once the record is written.
func (s *Service) confirm(ctx context.Context, before, after *store.Key) error {
	if !s.apart() || !measured(before, after) {
		return nil
	}
	return s.raise(ctx, markOf(after))
}

// reconfirm repeats the last step of a change that is found made already: the step
// may have failed then.
func (s *Service) reconfirm(ctx context.Context, mark store.Mark) error {
	if !s.apart() {
		return nil
	}
	return s.raise(ctx, mark)
}

// raise writes marks; it is for epochs that live apart.
func (s *Service) raise(ctx context.Context, marks ...store.Mark) error {
	if err := s.store.Epochs.Raise(ctx, marks...); err != nil {
		return fmt.Errorf("apikey: raise epochs: %w", err)
	}
	return nil
}

// twoStep writes a record of the instance or of a workspace around the two
// marks of a raised epoch: mark has the first, and write gets the second.
func (s *Service) twoStep(ctx context.Context, mark store.Mark, raised bool, write func(epoch int64) error) error {
	if !raised || !s.apart() {
		return write(mark.Epoch)
	}
	if err := s.raise(ctx, mark); err != nil {
		return err
	}
	mark.Epoch++
	if err := write(mark.Epoch); err != nil {
		return err
	}
	return s.raise(ctx, mark)
}

func markOf(k *store.Key) store.Mark {
	mark := store.Mark{Workspace: k.Workspace, Key: k.ID, Epoch: k.Epoch}
	for _, secret := range k.Secrets {
		mark.Secrets = append(mark.Secrets, store.SecretEnd{ID: secret.ID, NotAfter: secret.NotAfter})
	}
	return mark
}

// measured reports whether the change touches what tokens are measured
// against.
func measured(before, after *store.Key) bool {
	return after.Epoch > before.Epoch || !sameSecrets(before, after)
}

func sameSecrets(a, b *store.Key) bool {
	return slices.EqualFunc(a.Secrets, b.Secrets, func(a, b store.Secret) bool {
		return a.ID == b.ID && a.NotAfter.Equal(b.NotAfter)
	})
}

func lostSecret(before, after *store.Key) bool {
	return slices.ContainsFunc(before.Secrets, func(old store.Secret) bool { return secretOfKey(after, old.ID) == nil })
}

// secretOfKey returns the key's secret with that id, or nil.
func secretOfKey(k *store.Key, id string) *store.Secret {
	i := slices.IndexFunc(k.Secrets, func(kept store.Secret) bool { return kept.ID == id })
	if i < 0 {
		return nil
	}
	return &k.Secrets[i]
}

// readMarks reads the epochs that live apart from the key. Where they are
// ahead of the record that the login read, or tell otherwise of its secret, a
// change is under way or was cut off, or a cache was behind: the record is read
// again, after the marks, and the login must hold against it. Marks that are
// then still lost or behind, as those of a key from before its host moved
// epochs elsewhere, are put right from the record.
func (s *Service) readMarks(ctx context.Context, l *Login) error {
	marks, err := s.store.Epochs.Read(ctx, store.TokenRef{Workspace: l.found.Key.Workspace, Key: l.found.Key.ID, Secret: l.secret.ID})
	lost := errors.Is(err, store.ErrNotFound)
	if err != nil && !lost {
		return fmt.Errorf("apikey: read epochs: %w", outage(err))
	}
	if lost || !marks.SecretKnown || !marks.SecretNotAfter.Equal(l.secret.NotAfter) ||
		marks.Instance > l.found.Instance.Epoch || marks.Workspace > l.found.Workspace.Epoch || marks.Key > l.found.Key.Epoch {
		if err := s.again(ctx, l); err != nil {
			return err
		}
	}
	f := &l.found
	if lost || !marks.SecretKnown || !marks.SecretNotAfter.Equal(l.secret.NotAfter) ||
		marks.Instance < f.Instance.Epoch || marks.Workspace < f.Workspace.Epoch || marks.Key < f.Key.Epoch {
		if err := s.raise(ctx,
			store.Mark{Epoch: f.Instance.Epoch},
			store.Mark{Workspace: f.Key.Workspace, Epoch: f.Workspace.Epoch},
			markOf(&f.Key),
		); err != nil {
			return outage(err)
		}
	}
	f.Instance.Epoch = max(f.Instance.Epoch, marks.Instance)
	f.Workspace.Epoch = max(f.Workspace.Epoch, marks.Workspace)
	f.Key.Epoch = max(f.Key.Epoch, marks.Key)
	return nil
}

// again reads the record of a login that was proved a moment ago.
func (s *Service) again(ctx context.Context, l *Login) error {
	found, err := s.lookup(ctx, l.found.Key.ID)
	if errors.Is(err, store.ErrNotFound) {
		return ErrInvalidCredentials
	}
	if err != nil {
		return fmt.Errorf("apikey: find key: %w", outage(err))
	}
	secret := secretOfKey(&found.Key, l.secret.ID)
	if secret == nil || ended(secret.NotAfter, l.now) {
		return ErrInvalidCredentials
	}
	l.found, l.secret = found, *secret
	return s.live(ctx, &l.found, l.now)
}

// outage makes whatever a store failed with one of the errors that callers
// answer 503 to: a driver may return its own.
func outage(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
