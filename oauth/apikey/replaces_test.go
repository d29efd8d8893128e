package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// TestReplaces tests that a rotation ends the secret that it replaces and no other one.
func TestReplaces(t *testing.T) {
	r := newRig(t)
	key, first := r.create(owner, "team-a", "project.list")
	r.mustLogin(key.ID, first)
	rotated, lost := r.rotate(owner, key.ID, apikey.Rotation{Grace: 24 * time.Hour})
	ends := rotated.Credentials[0].NotAfter
	expiry := apikey.Expiry{At: noon.AddDate(1, 0, 0)}
	_, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Expiry: &expiry})
	require.NoError(t, err)

	now, found := r.rotate(owner, key.ID, apikey.Rotation{Replaces: rotated.Credentials[1].ID, Changes: apikey.Changes{Expiry: &apikey.Expiry{}}})
	require.Len(t, now.Credentials, 2)
	require.Equal(t, key.Credentials[0].ID, now.Credentials[0].ID)
	require.Equal(t, ends, now.Credentials[0].NotAfter, "the other secret ends when it would have")
	require.True(t, now.NotAfter.IsZero())
	require.True(t, now.Credentials[1].NotAfter.IsZero())
	r.mustLogin(key.ID, first)
	r.mustLogin(key.ID, found)
	_, err = r.login(key.ID, lost.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
}

// TestLaterExpiryIsOfTheNewSecret: a rotation that gives the key a later expiry extends
// no other secret.
func TestLaterExpiryIsOfTheNewSecret(t *testing.T) {
	r := newRig(t)
	soon, later := apikey.Expiry{At: noon.Add(time.Hour)}, apikey.Expiry{At: noon.AddDate(1, 0, 0)}
	key, _ := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = soon })
	for _, rotation := range []apikey.Rotation{{Grace: 24 * time.Hour}, {Replaces: "the last one"}} {
		if rotation.Replaces != "" {
			rotation.Replaces = key.Credentials[1].ID
		}
		rotation.Changes.Expiry = &later
		key, _ = r.rotate(owner, key.ID, rotation)
		require.Len(t, key.Credentials, 2)
		require.Equal(t, soon.At, key.Credentials[0].NotAfter)
		require.Equal(t, later.At, key.NotAfter)
	}
}

// TestReplacesOnlyUnused: a secret that a program has logged in with was not lost.
func TestReplacesOnlyUnused(t *testing.T) {
	for name, use := range map[string]func(*rig, apikey.Key, apikey.Secret) string{
		"B37 used, and not yet written": func(r *rig, key apikey.Key, secret apikey.Secret) string {
			r.mustLogin(key.ID, secret)
			return key.Credentials[0].ID
		},
		"B37 used": func(r *rig, key apikey.Key, secret apikey.Secret) string {
			r.mustLogin(key.ID, secret)
			require.NoError(r.t, r.Flush(r.t.Context()))
			return key.Credentials[0].ID
		},
		"B37 used through another replica": func(r *rig, key apikey.Key, secret apikey.Secret) string {
			other := rigOn(r.t, r.store)
			other.mustLogin(key.ID, secret)
			require.NoError(r.t, other.Flush(r.t.Context()))
			return key.Credentials[0].ID
		},
		"of another key": func(r *rig, _ apikey.Key, _ apikey.Secret) string {
			other, _ := r.create(owner, "team-a", "project.list")
			return other.Credentials[0].ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			key, secret := r.create(owner, "team-a", "project.list")
			_, _, err := r.Rotate(context.Background(), owner, key.ID, apikey.Rotation{Replaces: use(r, key, secret)})
			var invalid *apikey.InvalidError
			require.ErrorAs(t, r.note(err), &invalid)
			require.Equal(t, "replaces", invalid.Problems[0].Field)
			now, err := r.Get(t.Context(), owner, key.ID)
			require.NoError(t, err)
			require.Equal(t, key.Version, now.Version)
			r.mustLogin(key.ID, secret)
		})
	}
}

// TestReplacesRace: of the rotations that replace one secret at once, one gives a secret.
func TestReplacesRace(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(owner, "team-a", "project.list")
	const calls = 8
	gave := make(chan apikey.Secret, calls)
	for range calls {
		go func() {
			_, secret, err := r.Rotate(context.Background(), owner, key.ID, apikey.Rotation{Replaces: key.Credentials[0].ID})
			if err != nil {
				gave <- apikey.Secret{}
				return
			}
			r.keep(secret.Reveal())
			gave <- secret
		}()
	}
	made := 0
	for range calls {
		if secret := <-gave; secret.Reveal() != "" {
			made++
			r.mustLogin(key.ID, secret)
		}
	}
	require.Equal(t, 1, made)
	now, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Len(t, now.Credentials, 1)
}

// TestWorkspaceStandingAsksTheHost: a workspace that the host has suspended is shown so.
func TestWorkspaceStandingAsksTheHost(t *testing.T) {
	var active bool
	var outage error
	r := newRig(t, func(c *apikey.Config) {
		c.Workspaces = func(context.Context, string) (bool, error) { return active, outage }
	})
	state := func() string {
		standing, err := r.WorkspaceStanding(t.Context(), "team-a")
		require.NoError(t, err)
		return string(standing.State)
	}
	require.Equal(t, "suspended", state())
	outage = store.ErrUnavailable
	require.Equal(t, "active", state(), "an outage of the host's does not keep pages from being shown")
	active, outage = true, nil
	require.Equal(t, "active", state())
}
