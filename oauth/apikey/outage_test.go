package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// outages are errors of host code that say that something is unavailable, whatever
// else they wrap.
func outages() map[string]error {
	down := fmt.Errorf("dial: %w", store.ErrUnavailable)
	also := func(err error) error { return fmt.Errorf("%w: %w", err, store.ErrUnavailable) }
	return map[string]error{
		"an outage":                  store.ErrUnavailable,
		"a wrapped outage":           fmt.Errorf("quota: %w", down),
		"joined with another":        errors.Join(errors.New("x"), down),
		"a denial because of one":    &policy.Denied{Rule: "quota", Reason: "No.", Err: down},
		"one to try again later":     &policy.Denied{Rule: "quota", RetryAfter: time.Hour, Err: down},
		"one that calls it expired":  &policy.Denied{Rule: "quota", Expired: true, Err: down},
		"joined with a denial":       errors.Join(&policy.Denied{Rule: "quota"}, down),
		"a refused login too":        also(&apikey.RefusedError{Reason: "disabled"}),
		"a throttled login too":      also(&apikey.ThrottledError{RetryAfter: time.Hour}),
		"wrong credentials too":      also(apikey.ErrInvalidCredentials),
		"a forbidden act too":        also(&apikey.ForbiddenError{Action: "x"}),
		"an invalid field too":       also(&apikey.InvalidError{Problems: []apikey.FieldProblem{{Field: "name"}}}),
		"an unknown permission too":  also(&scope.UnknownError{Names: []string{"x"}}),
		"a missing permission too":   also(&apikey.RefusedError{Reason: "scope", Missing: perms("project.list")}),
		"and the record is deleted":  also(store.ErrNotFound),
		"a version conflict too":     also(store.ErrConflict),
		"a limit too":                also(store.ErrLimit),
		"a deadline":                 fmt.Errorf("quota: %w", context.DeadlineExceeded),
		"a deadline inside a denial": &policy.Denied{Rule: "quota", Err: context.DeadlineExceeded},
		"a cancelled query":          fmt.Errorf("quota: %w", context.Canceled),
	}
}

// requireOutage requires that err wraps store.ErrUnavailable and no error with
// another response.
func requireOutage(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, store.ErrUnavailable)
	for _, decision := range []error{
		store.ErrNotFound, store.ErrConflict, store.ErrExists, store.ErrLimit,
		apikey.ErrInvalidCredentials,
	} {
		require.NotErrorIs(t, err, decision)
	}
	var denied *policy.Denied
	var refused *apikey.RefusedError
	var throttled *apikey.ThrottledError
	var unknown *scope.UnknownError
	var invalid *apikey.InvalidError
	require.False(t, errors.As(err, &denied), "a denial")
	require.False(t, errors.As(err, &refused), "a refused login")
	require.False(t, errors.As(err, &throttled), "a throttled login")
	require.False(t, errors.As(err, &unknown), "an unknown permission")
	require.False(t, errors.As(err, &invalid), "an invalid request")
	require.False(t, isForbidden(err), "a forbidden act")
}

// TestAnOutageIsNoDecision tests that the call fails with store.ErrUnavailable and
// changes nothing if host code that is asked about a key or a token is unavailable.
func TestAnOutageIsNoDecision(t *testing.T) {
	var keys, tokens, workspaces error
	r := newRig(t, func(c *apikey.Config) {
		c.Imported = true
		c.Policy = policy.All(
			policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return keys }),
			policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return tokens }),
		)
		c.Workspaces = func(context.Context, string) (bool, error) { return true, workspaces }
	})
	key, secret := r.create(owner, "team-a", "project.list")
	ctx := context.Background()
	create := func() error { _, _, err := r.tryCreate(owner, "team-a", ""); return err }
	bring := func() error {
		spec := apikey.ImportSpec{ID: "brought", Secret: "0123456789abcdefghijABCDEFGHIJ", Spec: apikey.Spec{Workspace: "team-a", Name: "ci"}}
		_, err := r.Import(ctx, owner, spec)
		return r.note(err)
	}
	update := func() error {
		_, err := r.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("other")})
		return r.note(err)
	}
	rotate := func() error { _, _, err := r.Rotate(ctx, owner, key.ID, apikey.Rotation{}); return r.note(err) }
	add := func() error { return r.note(errOf(r.AddCredential(ctx, owner, key.ID, aPublicKey("laptop")))) }
	enable := func() error { _, err := r.Enable(ctx, owner, key.ID, 0); return r.note(err) }
	logIn := func() error {
		_, err := r.logIn(apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrA}, apikey.Request{})
		return r.note(err)
	}
	issue := func() error { _, err := r.login(key.ID, secret.Reveal()); return err }
	for _, point := range []struct {
		name     string
		says     *error
		disabled bool
		login    bool
		do       func() error
	}{
		{"a policy, create", &keys, false, false, create},
		{"a policy, import", &keys, false, false, bring},
		{"a policy, update", &keys, false, false, update},
		{"a policy, rotate", &keys, false, false, rotate},
		{"a policy, add a credential", &keys, false, false, add},
		{"a policy, enable", &keys, true, false, enable},
		{"a policy, login", &tokens, false, true, logIn},
		{"a policy, issue", &tokens, false, true, issue},
		{"the workspace, create", &workspaces, false, false, create},
		{"the workspace, import", &workspaces, false, false, bring},
		{"the workspace, rotate", &workspaces, false, false, rotate},
		{"the workspace, add a credential", &workspaces, false, false, add},
		{"the workspace, enable", &workspaces, true, false, enable},
		{"the workspace, login", &workspaces, false, true, logIn},
	} {
		for name, outage := range outages() {
			t.Run(point.name+": "+name, func(t *testing.T) {
				if point.disabled {
					_, err := r.Disable(ctx, owner, key.ID, 0)
					require.NoError(t, err)
				}
				defer func() {
					*point.says = nil
					_, err := r.Enable(ctx, owner, key.ID, 0)
					require.NoError(t, err)
					require.NoError(t, logIn(), "it recovers by itself")
				}()
				before, events := r.contents(), len(r.reasons())
				*point.says = outage
				requireOutage(t, point.do())
				require.Equal(t, before, r.contents())
				if point.login {
					require.Equal(t, []string{"unavailable"}, r.reasons()[events:])
				}
			})
		}
	}
}

// contents are all keys as they are stored.
func (r *rig) contents() []store.Key {
	r.t.Helper()
	page, err := r.store.Keys.List(context.Background(), store.KeyQuery{Limit: store.MaxPage})
	require.NoError(r.t, err)
	return page.Keys
}
