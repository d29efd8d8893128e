package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// epochs tells this server's verifier which tokens are revoked. It reads the store.
type epochs struct {
	store store.Reads
	now   func() time.Time
	// timeout bounds how long a guard waits for the store.
	timeout time.Duration
	// keysOff says whether keys are off until an administrator first saves the
	// instance's settings.
	keysOff bool
	trusted *trust.List
}

// Revoked implements bearer.Epochs.
func (e *epochs) Revoked(ctx context.Context, t bearer.Token) (bool, error) {
	if !e.trusted.Names(t.CredentialID) { // the host has removed the issuer
		return true, nil
	}
	timed := request.WithTimeout(ctx, e.timeout)
	defer timed.Stop()
	state, err := e.store.Read(timed, store.TokenRef{
		Workspace: t.Workspace, Key: t.KeyID, Credential: t.CredentialID, TokenID: t.TokenID, Epochs: t.Epochs,
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	// The epochs must be equal. A token with a higher one was issued before an older
	// backup of the store was restored.
	return e.keysOff && state.InstanceVersion == 0 || state.Revoked || t.Epochs != [3]int64{state.Instance, state.Workspace, state.Key} ||
		!state.CredentialKnown ||
		!state.CredentialNotAfter.IsZero() && !e.now().Before(state.CredentialNotAfter), nil
}
