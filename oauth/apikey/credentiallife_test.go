package apikey_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func trustOf(n int) apikey.CredentialSpec {
	return aTrust(fmt.Sprint("trust ", n), "repository_id", fmt.Sprint(n), "environment", "prod")
}

func keyOf(n int) apikey.CredentialSpec { return aPublicKey(fmt.Sprint("key ", n)) }

// TestNumberOfCredentials tests the limit of each kind.
func TestNumberOfCredentials(t *testing.T) {
	for name, tc := range map[string]struct {
		most  int
		field string
		spec  func(n int) apikey.CredentialSpec
		other func(n int) apikey.CredentialSpec
	}{
		"public keys": {8, "public_key", keyOf, trustOf},
		"trusts":      {16, "claims", trustOf, keyOf},
	} {
		t.Run("B04 "+name, func(t *testing.T) {
			r := newRig(t, trusting)
			key, _ := r.create(owner, "team-a", "")
			for range apikey.MaxSecrets - 1 {
				r.rotate(owner, key.ID, apikey.Rotation{Grace: 24 * time.Hour})
			}
			ending := tc.spec(0)
			ending.NotAfter = noon.Add(time.Hour)
			first := last(r.add(owner, key.ID, ending)).ID
			for n := range tc.most - 1 {
				r.add(owner, key.ID, tc.spec(n+1))
			}
			r.add(owner, key.ID, tc.other(0)) // another kind does not count
			_, err := r.AddCredential(t.Context(), owner, key.ID, tc.spec(99))
			requireField(t, r.note(err), tc.field)
			replacing := tc.spec(100)
			replacing.Replaces, replacing.Grace = first, time.Minute
			_, err = r.AddCredential(t.Context(), owner, key.ID, replacing)
			requireField(t, r.note(err), tc.field)
			replacing.Grace = 0
			replaced := r.add(owner, key.ID, replacing)
			_, err = r.Retire(t.Context(), owner, key.ID, last(replaced).ID, 0)
			require.NoError(t, err)
			r.add(owner, key.ID, ending)
			r.clock.Advance(time.Hour)
			ending.NotAfter = time.Time{}
			now := r.add(owner, key.ID, ending)
			require.Len(t, now.Credentials, apikey.MaxSecrets+1+tc.most, "the one that ended is dropped, and may come again")
			many := func(s *apikey.Spec) {
				for n := range tc.most + 1 {
					s.Credentials = append(s.Credentials, tc.spec(n))
				}
			}
			_, _, err = r.tryCreate(owner, "team-a", "", many)
			requireField(t, err, fmt.Sprintf("%s[%d].%s", strings.ReplaceAll(name, " ", "_"), tc.most, tc.field))
		})
	}
	t.Run("an ended secret stays, for a further report of it", func(t *testing.T) {
		r := newRig(t)
		key, secret := r.create(owner, "team-a", "")
		_, err := r.ReportLeak(t.Context(), secret.Reveal(), apikey.Leak{})
		require.NoError(t, err)
		require.Len(t, r.add(owner, key.ID, keyOf(1)).Credentials, 2)
		_, err = r.ReportLeak(t.Context(), secret.Reveal(), apikey.Leak{})
		require.NoError(t, err)
	})
}

// TestDuplicateCredentials tests that one key holds nothing twice.
func TestDuplicateCredentials(t *testing.T) {
	jwk, _ := jwkOf(map[string]any{"kid": "1"})
	renamed := strings.Replace(jwk, `"kid":"1"`, `"kid":"2"`, 1)
	public := func(jwk string) apikey.CredentialSpec {
		return apikey.CredentialSpec{Name: "x", PublicKey: &store.PublicKey{JWK: jwk}}
	}
	rsa := map[string]any{"kid": "2", "alg": "PS256"}
	for _, tc := range []struct {
		name          string
		first, second apikey.CredentialSpec
		field         string // empty: it is none
	}{
		{"a public key", public(jwk), public(jwk), "public_key"},
		{"a public key with another kid", public(jwk), public(renamed), "public_key"},
		{"a public key with another alg", public(rsaJWK(2048, map[string]any{"kid": "1"})), public(rsaJWK(2048, rsa)), "public_key"},
		{"a kid", aPublicKey("1"), aPublicKey("1"), "public_key"},
		{"a trust", trustOf(1), trustOf(1), "claims"},
		{"a trust in another order", trustOf(1), aTrust("x", "environment", "prod", "repository_id", "1"), "claims"},
		{"a trust with another value", trustOf(1), trustOf(2), ""},
		{"a trust with one more claim", trustOf(1), aTrust("x", "environment", "prod", "repository_id", "1", "ref", "refs/heads/main"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, trusting)
			key, _ := r.create(owner, "team-a", "")
			other, _ := r.create(owner, "team-a", "")
			tc.first.NotAfter = noon.Add(time.Hour)
			held := r.add(owner, key.ID, tc.first)
			r.add(owner, other.ID, tc.second) // another key may have it
			_, err := r.AddCredential(t.Context(), owner, key.ID, tc.second)
			if tc.field == "" {
				require.NoError(t, err)
				return
			}
			requireField(t, r.note(err), tc.field)
			tc.second.Replaces = last(held).ID
			if tc.field == "public_key" {
				_, err = r.AddCredential(t.Context(), owner, key.ID, tc.second)
				requireField(t, err, tc.field)
			}
			tc.second.Grace = time.Minute
			_, err = r.AddCredential(t.Context(), owner, key.ID, tc.second)
			if tc.field == "claims" {
				require.NoError(t, err, "a trust may be renewed")
				return
			}
			requireField(t, r.note(err), tc.field)
			tc.second.Replaces = ""
			r.clock.Advance(time.Hour)
			require.Len(t, r.add(owner, key.ID, tc.second).Credentials, 2, "once it has ended it may come again")
		})
	}
}

// TestReplacePublicKey tests the rotation of a public key.
func TestReplacePublicKey(t *testing.T) {
	for name, grace := range map[string]time.Duration{"at once": 0, "with a grace": time.Hour} {
		t.Run("9700-03 "+name, func(t *testing.T) {
			r := newRig(t, trusting)
			key, secret := r.create(owner, "team-a", "project.list")
			spec, old := withPrivate("1")
			held := r.add(owner, key.ID, spec)
			other, _ := withPrivate("other")
			r.add(owner, key.ID, other)
			token, err := r.assert(key.ID, old)
			require.NoError(t, err)
			require.Equal(t, last(held).ID, token.CredentialID)
			bySecret := r.mustLogin(key.ID, secret)

			spec, fresh := withPrivate("2")
			spec.Replaces, spec.Grace = last(held).ID, grace
			replaced := r.add(owner, key.ID, spec)
			event := r.events(store.EventQuery{Action: audit.Rotate})[0]
			require.Equal(t, []string{"public_keys", "public_keys"}, fieldsOf(event))
			require.Equal(t, key.Credentials[0], replaced.Credentials[0], "no other credential changes")
			_, err = r.assert(key.ID, fresh)
			require.NoError(t, err)
			require.False(t, r.revoked(bySecret))
			_, err = r.assert(key.ID, old)
			if grace > 0 {
				require.NoError(t, err)
				require.False(t, r.revoked(token))
				r.clock.Advance(grace)
				_, err = r.assert(key.ID, old)
			} else {
				require.Len(t, replaced.Credentials, 3)
			}
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			require.True(t, r.revoked(token))
		})
	}
	t.Run("a grace is no longer than the end that it had", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		spec := keyOf(1)
		spec.NotAfter = noon.Add(time.Minute)
		held := r.add(owner, key.ID, spec)
		next := keyOf(2)
		next.Replaces, next.Grace = last(held).ID, time.Hour
		require.Equal(t, noon.Add(time.Minute), r.add(owner, key.ID, next).Credentials[1].NotAfter)
	})
	t.Run("only one of the same kind that has not ended", func(t *testing.T) {
		r := newRig(t, trusting)
		key, _ := r.create(owner, "team-a", "")
		trusted := last(r.add(owner, key.ID, trustOf(1))).ID
		ended := keyOf(1)
		ended.NotAfter = noon.Add(time.Minute)
		public := last(r.add(owner, key.ID, ended)).ID
		try := func(spec apikey.CredentialSpec, id string) {
			t.Helper()
			spec.Replaces = id
			_, err := r.AddCredential(t.Context(), owner, key.ID, spec)
			requireField(t, r.note(err), "replaces")
		}
		try(keyOf(2), key.Credentials[0].ID)
		try(keyOf(2), trusted)
		try(trustOf(2), public)
		try(trustOf(2), key.Credentials[0].ID)
		r.clock.Advance(time.Minute)
		try(keyOf(2), public)
	})
	t.Run("B22 of two at once one wins", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		var wins atomic.Int64
		var wg sync.WaitGroup
		id := last(r.add(owner, key.ID, keyOf(0))).ID
		for n := range 4 {
			wg.Go(func() {
				spec := keyOf(n + 1)
				spec.Replaces, spec.Grace = id, time.Hour
				switch _, err := r.AddCredential(context.Background(), owner, key.ID, spec); {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
				spec.Version = key.Version
			})
		}
		wg.Wait()
		now, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		require.EqualValues(t, len(now.Credentials)-2, wins.Load())
	})
}

// TestKeyReplacesItsOwnPublicKey tests what RotateOwn lets a key do with credentials.
func TestKeyReplacesItsOwnPublicKey(t *testing.T) {
	day := noon.AddDate(0, 0, 1)
	for _, tc := range []struct {
		name   string
		holds  string
		change func(s *apikey.CredentialSpec, k apikey.Key)
		works  bool
	}{
		{"with the permission for it", "keys.rotate", func(*apikey.CredentialSpec, apikey.Key) {}, true},
		{"with the one to change keys", "keys.save", func(*apikey.CredentialSpec, apikey.Key) {}, true},
		{"with a grace", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.Grace = time.Hour }, true},
		{"by one that ends earlier", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.NotAfter = day.Add(-1000) }, true},
		{"without a permission", "project.list", func(*apikey.CredentialSpec, apikey.Key) {}, false},
		{"by one without an end", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.NotAfter = time.Time{} }, false},
		{"by one that ends later", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.NotAfter = day.Add(time.Second) }, false},
		{"by one that accepts another audience", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.PublicKey.EndpointAudience = true }, false},
		{"by one that accepts long assertions", "keys.rotate", func(s *apikey.CredentialSpec, _ apikey.Key) { s.PublicKey.LongAssertions = true }, false},
		{"and adds one", "keys.rotate keys.save", func(s *apikey.CredentialSpec, _ apikey.Key) { s.Replaces = "" }, false},
		{"and replaces its secret by it", "keys.rotate keys.save", func(s *apikey.CredentialSpec, k apikey.Key) { s.Replaces = k.Credentials[0].ID }, false},
		{"and replaces its trust by it", "keys.rotate keys.save", func(s *apikey.CredentialSpec, k apikey.Key) { s.Replaces = k.Credentials[1].ID }, false},
		{"and replaces its trust", "keys.rotate keys.save", func(s *apikey.CredentialSpec, k apikey.Key) {
			*s = trustOf(2)
			s.Replaces = k.Credentials[1].ID
		}, false},
		{"and adds a trust", "keys.rotate keys.save", func(s *apikey.CredentialSpec, _ apikey.Key) { *s = trustOf(2) }, false},
	} {
		t.Run("B21 "+tc.name, func(t *testing.T) {
			r := newRig(t, trusting, func(c *apikey.Config) { c.LongAssertions = true })
			key, _ := r.create(admin, "team-a", tc.holds)
			r.add(admin, key.ID, trustOf(1))
			first := keyOf(1)
			first.NotAfter = day
			key = r.add(admin, key.ID, first)
			spec := keyOf(2)
			spec.NotAfter, spec.Replaces = day, last(key).ID
			tc.change(&spec, key)
			now, err := r.AddCredential(t.Context(), with(cmp.Or(spec.Replaces, last(key).ID), key), key.ID, spec)
			if tc.works {
				require.NoError(t, err)
				require.Equal(t, asKey(key).Ref(), last(now).CreatedBy)
				return
			}
			require.Error(t, r.note(err))
			if spec.Replaces == "" || spec.Replaces == last(key).ID {
				require.True(t, isForbidden(err) || errors.Is(err, store.ErrNotFound), "%v", err)
			}
			after, err := r.Get(t.Context(), admin, key.ID)
			require.NoError(t, err)
			require.Equal(t, key.Version, after.Version)
		})
	}
	t.Run("B21 a key without a secret gives itself none", func(t *testing.T) {
		r := newRig(t, trusting)
		key, _ := r.create(admin, "team-a", "keys.save keys.rotate", func(s *apikey.Spec) {
			s.NoSecret, s.Credentials = true, []apikey.CredentialSpec{trustOf(1), keyOf(1)}
		})
		for _, id := range []string{"", key.Credentials[0].ID, key.Credentials[1].ID} {
			_, _, err := r.Rotate(t.Context(), with(id, key), key.ID, apikey.Rotation{})
			require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
		}
	})
	t.Run("B21 nor does a key whose secret has ended", func(t *testing.T) {
		r := newRig(t)
		key, secret := r.create(admin, "team-a", "keys.rotate", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{keyOf(1)} })
		_, err := r.ReportLeak(t.Context(), secret.Reveal(), apikey.Leak{})
		require.NoError(t, err)
		for _, id := range []string{"", key.Credentials[0].ID, key.Credentials[1].ID} {
			_, _, err = r.Rotate(t.Context(), with(id, key), key.ID, apikey.Rotation{})
			require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
		}
	})
}

// TestMixedCredentials tests what the calls that are about secrets do to others.
func TestMixedCredentials(t *testing.T) {
	var private ed25519.PrivateKey
	mixed := func(t *testing.T) (*rig, apikey.Key, apikey.Secret) {
		r := newRig(t, trusting)
		var public apikey.CredentialSpec
		public, private = withPrivate("1")
		key, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) {
			s.Credentials = []apikey.CredentialSpec{public, trustOf(1)}
		})
		require.Len(t, key.Credentials, 3)
		return r, key, secret
	}
	t.Run("a rotation is of secrets only", func(t *testing.T) {
		r, key, _ := mixed(t)
		token, err := r.assert(key.ID, private)
		require.NoError(t, err)
		now, _ := r.rotate(owner, key.ID, apikey.Rotation{})
		require.Equal(t, key.Credentials[1:], now.Credentials[:2])
		require.True(t, now.Credentials[2].IsSecret())
		require.False(t, r.revoked(token))
		for _, id := range []string{key.Credentials[1].ID, key.Credentials[2].ID} {
			_, _, err := r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Replaces: id})
			requireField(t, r.note(err), "replaces")
		}
	})
	t.Run("the holder of a secret ends only it", func(t *testing.T) {
		r, key, secret := mixed(t)
		token, err := r.assert(key.ID, private)
		require.NoError(t, err)
		bySecret := r.mustLogin(key.ID, secret)
		require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: secret.Reveal()}))
		now, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		require.Equal(t, key.Credentials[1:], now.Credentials)
		require.False(t, r.revoked(token))
		require.True(t, r.revoked(bySecret))
	})
	t.Run("Retire is of every kind, and of the last one ends all tokens", func(t *testing.T) {
		r, key, secret := mixed(t)
		token, err := r.assert(key.ID, private)
		require.NoError(t, err)
		bySecret := r.mustLogin(key.ID, secret)
		_, err = r.Retire(t.Context(), owner, key.ID, key.Credentials[1].ID, 0)
		require.NoError(t, err)
		require.True(t, r.revoked(token))
		require.False(t, r.revoked(bySecret))
		_, err = r.assert(key.ID, private)
		require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		_, err = r.Retire(t.Context(), owner, key.ID, key.Credentials[2].ID, 0)
		require.NoError(t, err)
		now, err := r.Retire(t.Context(), owner, key.ID, key.Credentials[0].ID, 0)
		require.NoError(t, err)
		require.Empty(t, now.Credentials)
		require.True(t, r.revoked(bySecret))
		var fields []string
		for _, e := range r.events(store.EventQuery{Action: "key.retire_credential"}) {
			fields = append(fields, fieldsOf(e)...)
		}
		require.ElementsMatch(t, []string{"public_keys", "trusts", "secrets"}, fields)
	})
	t.Run("a key without a secret", func(t *testing.T) {
		r := newRig(t, trusting)
		public, private := withPrivate("1")
		key, secret, err := r.Create(t.Context(), owner, apikey.Spec{Workspace: "team-a", Name: "ci", NoSecret: true, Credentials: []apikey.CredentialSpec{public}})
		require.NoError(t, err)
		require.Empty(t, secret.Reveal())
		require.Len(t, key.Credentials, 1)
		_, err = r.assert(key.ID, private)
		require.NoError(t, err)
		_, fresh := r.rotate(owner, key.ID, apikey.Rotation{})
		r.mustLogin(key.ID, fresh)
	})
	t.Run("an imported key", func(t *testing.T) {
		r := newRig(t, trusting, func(c *apikey.Config) { c.Imported = true })
		spec := apikey.ImportSpec{ID: "legacy", Secret: "0123456789abcdefghijABCDEFGHIJ", Spec: apikey.Spec{Workspace: "team-a", Name: "ci", Credentials: []apikey.CredentialSpec{keyOf(1)}}}
		spec.NoSecret = true
		_, err := r.Import(t.Context(), owner, spec)
		requireField(t, r.note(err), "no_secret")
		spec.NoSecret = false
		key, err := r.Import(t.Context(), owner, spec)
		require.NoError(t, err)
		require.Len(t, key.Credentials, 2)
	})
	t.Run("an id that another key has", func(t *testing.T) {
		r := newRig(t)
		one, _ := r.create(owner, "team-a", "")
		two, _ := r.create(owner, "team-a", "")
		stuck := rigOn(t, r.store, func(c *apikey.Config) { c.Random = alike{} })
		stuck.add(owner, one.ID, keyOf(1))
		_, err := stuck.AddCredential(t.Context(), owner, two.ID, keyOf(2))
		require.ErrorIs(t, stuck.note(err), store.ErrCredentialExists)
	})
}

// alike is a source of randomness that always gives the same.
type alike struct{}

func (alike) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{7}, len(p))), nil }

// TestRulesOfCredentials tests what policies see and decide of a credential.
func TestRulesOfCredentials(t *testing.T) {
	ctx := t.Context()
	t.Run("they see it, and what they write is lost", func(t *testing.T) {
		var before, after []string
		r := newRig(t, trusting, func(c *apikey.Config) {
			c.Policy = policy.KeyFunc(func(_ context.Context, k *policy.KeyRequest) error {
				if k.Action != policy.ActionAdd {
					return nil
				}
				require.True(t, k.ExtendsLife())
				added := k.After.Credentials[len(k.After.Credentials)-1]
				before, after = append(before, k.Before.Credentials[0].ID), append(after, added.Trust.Claims[1].Value)
				added.Trust.Claims[1].Value, k.After.Credentials[0].Name = "8", "changed"
				return nil
			})
		})
		key, _ := r.create(owner, "team-a", "")
		now := r.add(owner, key.ID, trustOf(7))
		require.Equal(t, []string{key.Credentials[0].ID}, before)
		require.Equal(t, []string{"7"}, after)
		require.Equal(t, "7", last(now).Trust.Claims[1].Value)
		require.Empty(t, now.Credentials[0].Name)
	})
	t.Run("at a login too", func(t *testing.T) {
		r := newRig(t, trusting, func(c *apikey.Config) {
			c.Policy = policy.TokenFunc(func(_ context.Context, k *policy.TokenRequest) error {
				require.Equal(t, "1", k.Credential.Name)
				k.Credential.PublicKey.JWK, k.Key.Credentials[1].PublicKey.JWK = "{}", "{}"
				return nil
			})
		})
		key, _ := r.create(owner, "team-a", "")
		spec, private := withPrivate("1")
		added := r.add(owner, key.ID, spec)
		login, err := r.Authenticate(t.Context(), r.assertion(key.ID, private))
		require.NoError(t, err)
		_, err = r.Issue(t.Context(), login, apikey.Request{})
		require.NoError(t, err)
		require.Equal(t, added.Credentials, login.Key().Credentials)
	})
	t.Run("a key needs an expiry", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		r.rules("", store.Rules{RequireExpiry: true})
		_, err := r.AddCredential(ctx, owner, key.ID, keyOf(1))
		require.ErrorAs(t, r.note(err), new(*policy.Denied))
	})
	t.Run("a new credential does not prolong the life of an old one", func(t *testing.T) {
		day := 24 * time.Hour
		r := newRig(t)
		r.rules("", store.Rules{MaxLifetime: 90 * day})
		key, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry.At = noon.Add(90 * day) })
		r.clock.Advance(80 * day)
		now := r.add(owner, key.ID, keyOf(1))
		require.Equal(t, noon, now.LifetimeStart)
		extend := func() error {
			return errOf(r.Update(ctx, owner, key.ID, apikey.Changes{Expiry: &apikey.Expiry{At: noon.Add(170 * day)}}))
		}
		require.ErrorAs(t, extend(), new(*policy.Denied))
		_, err := r.Retire(ctx, owner, key.ID, key.Credentials[0].ID, 0)
		require.NoError(t, err)
		require.NoError(t, extend())
	})
}
