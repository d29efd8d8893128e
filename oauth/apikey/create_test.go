package apikey_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestCreate(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "project.*", func(s *apikey.Spec) { s.Name = "Übersetzer 🔑" })
	require.Equal(t, apikey.Key{
		ID: key.ID, Workspace: "team-a", Name: "Übersetzer 🔑",
		Permissions: perms("project.delete project.list project.save"), RequestedPermissions: perms("project.*"),
		Credentials: []store.Credential{{
			ID: key.Credentials[0].ID, Hint: secret.Hint(), Prefix: "lk_", CreatedBy: store.ActorRef{Kind: "owner", ID: "olga"},
			Generated: true, Created: noon,
		}},
		CreatedBy: store.ActorRef{Kind: "owner", ID: "olga"},
		Created:   noon, Updated: noon, LifetimeStart: noon, Version: 1, Standing: policy.Standing{State: policy.StateActive},
	}, key)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, key.ID, "B03")
	stored, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, key, stored)
	require.Equal(t, []store.Event{{
		ID: r.events(store.EventQuery{})[0].ID, Time: noon, Actor: store.ActorRef{Kind: "owner", ID: "olga"},
		Action: audit.Create, Workspace: "team-a", Key: key.ID, KeyName: "Übersetzer 🔑",
		Changes: []store.FieldChange{
			{Field: "name", New: "Übersetzer 🔑"}, {Field: "permissions", New: "project.delete project.list project.save (requested: project.*)"},
			{Field: "secrets", New: key.Credentials[0].ID + " …" + secret.Hint()},
		},
	}}, r.events(store.EventQuery{}))
	grant := r.mustLogin(key.ID, secret)
	require.Equal(t, key.Permissions.String(), grant.Permissions.String())
	require.Equal(t, key.Credentials[0].ID, grant.CredentialID)
	require.Zero(t, grant.Epochs[0]+grant.Epochs[1])
	require.Positive(t, grant.Epochs[2])
}

func TestTextIsPrintable(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"one character", "x", true},
		{"umlauts, spaces, quotes and markup", `Käthe's "<img>" key, =cmd`, true},
		{"255 characters of four bytes", strings.Repeat("🔑", 255), true},
		{"B15 256 characters", strings.Repeat("x", 256), false},
		{"B15 empty", "", false},
		{"B15 spaces", "  \u3000 ", false},
		{"B15 CRLF", "a\r\nSet-Cookie: b=c", false},
		{"B15 line feed", "a\nb", false},
		{"B15 tab", "a\tb", false},
		{"B15 NUL", "a\x00b", false},
		{"B15 escape", "a\x1b[31mb", false},
		{"B15 C1 control", "a\u0085b", false},
		{"B15 line separator", "a\u2028b", false},
		{"B15 paragraph separator", "a\u2029b", false},
		{"B15 right-to-left override", "a\u202eb", false},
		{"B15 isolate", "a\u2066b", false},
		{"B15 zero width space", "a\u200bb", false},
		{"B15 byte order mark", "\ufeffa", false},
		{"B15 invalid UTF-8", "a\xffb", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			check := func(field string, err error) {
				t.Helper()
				if tc.ok {
					require.NoError(t, r.note(err))
					return
				}
				var invalid *apikey.InvalidError
				require.ErrorAs(t, r.note(err), &invalid)
				require.Len(t, invalid.Problems, 1)
				require.Equal(t, field, invalid.Problems[0].Field)
				require.NotContains(t, err.Error(), "Set-Cookie")
			}
			_, _, err := r.tryCreate(admin, "team-a", "", func(s *apikey.Spec) { s.Name = tc.text })
			check("name", err)
			_, _, err = r.tryCreate(admin, tc.text, "")
			check("workspace", err)
			check("workspace", r.SetSuspended(t.Context(), admin, tc.text, true))
			key, _ := r.create(admin, "team-a", "")
			_, err = r.Update(t.Context(), admin, key.ID, apikey.Changes{Name: &tc.text})
			check("name", err)
		})
	}
}

func TestProblemsComeTogether(t *testing.T) {
	r := newRig(t)
	_, _, err := r.tryCreate(admin, "team\n", "", func(s *apikey.Spec) {
		s.Name, s.Expiry, s.Once = "", apikey.Expiry{At: noon}, &store.OnceID{Space: "s", ID: "i", Expires: noon}
	})
	var invalid *apikey.InvalidError
	require.ErrorAs(t, err, &invalid)
	var fields []string
	for _, p := range invalid.Problems {
		fields = append(fields, p.Field)
	}
	require.Equal(t, []string{"workspace", "name", "expires_at", "once"}, fields)
	require.ErrorAs(t, err, new(*apikey.InvalidError))
}

func TestExpiry(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		at         time.Time
		prints     string
		refused    bool // past or too far
		malformed  bool
	}{
		{name: "never", text: ""},
		{name: "a date", text: "2027-01-31", at: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), prints: "2027-01-31"},
		{name: "a leap day", text: "2028-02-29", at: time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC), prints: "2028-02-29"},
		{name: "today", text: "2026-07-01", at: time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC), prints: "2026-07-01"},
		{name: "yesterday", text: "2026-06-30", at: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), prints: "2026-06-30", refused: true},
		{name: "an instant", text: "2026-07-01T12:00:00.000001Z", at: noon.Add(time.Microsecond), prints: "2026-07-01T12:00:00.000001Z"},
		{name: "now", text: "2026-07-01T12:00:00Z", at: noon, prints: "2026-07-01T12:00:00Z", refused: true},
		{name: "finer than stores keep", text: "2026-07-01T12:00:00.0000009Z", at: noon, prints: "2026-07-01T12:00:00Z", refused: true},
		{name: "an instant elsewhere", text: "2026-07-01T14:00:01+02:00", at: noon.Add(time.Second), prints: "2026-07-01T12:00:01Z"},
		{name: "long ago", text: "0001-01-01", at: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), prints: "0001-01-01", refused: true},
		{name: "the last year", text: "9999-12-30", at: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), prints: "9999-12-30"},
		{name: "the last day, whose end no database can write", text: "9999-12-31", at: time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), prints: "9999-12-31"},
		{name: "the zero instant is not never", text: "0001-01-01T00:00:00Z", malformed: true},
		{name: "nor is what stores keep as that", text: "0001-01-01T00:00:00.0000009Z", malformed: true},
		{name: "before the zero date", text: "0000-12-31", malformed: true},
		{name: "no such day", text: "2027-02-29", malformed: true},
		{name: "one digit", text: "2027-1-31", malformed: true},
		{name: "no zone", text: "2027-01-31T12:00:00", malformed: true},
		{name: "space", text: " 2027-01-31", malformed: true},
		{name: "words", text: "tomorrow", malformed: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expiry, err := apikey.ParseExpiry(tc.text)
			if tc.malformed {
				require.Error(t, err)
				require.Zero(t, expiry)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.at, expiry.At)
			require.Equal(t, tc.prints, expiry.String())
			r := newRig(t)
			key, _, err := r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = expiry })
			if tc.refused {
				require.ErrorAs(t, err, new(*apikey.InvalidError))
				require.ErrorContains(t, err, "expires_at")
				other, _ := r.create(owner, "team-a", "")
				_, err = r.Update(t.Context(), owner, other.ID, apikey.Changes{Expiry: &expiry})
				require.ErrorAs(t, err, new(*apikey.InvalidError))
				return
			}
			require.NoError(t, err)
			stored, err := r.Get(t.Context(), owner, key.ID)
			require.NoError(t, err)
			require.Equal(t, tc.at, stored.NotAfter)
			if len(tc.text) == len(time.DateOnly) {
				require.Equal(t, tc.text, stored.NotAfterText, "a date prints as it was given")
			}
			_, err = json.Marshal(stored)
			require.NoError(t, err)
		})
	}
	require.Equal(t, apikey.Expiry{}, apikey.Expiry{At: time.Time{}})
}

func FuzzParseExpiry(f *testing.F) {
	for _, text := range []string{"", "2027-01-31", "2027-01-31T12:00:00Z", "2027-01-31T12:00:00.123456789+02:00", "9999-12-31", "0000-01-01"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expiry, err := apikey.ParseExpiry(text)
		if err != nil {
			if expiry != (apikey.Expiry{}) || len(err.Error()) > 400 {
				t.Fatalf("%v, %v", expiry, err)
			}
			return
		}
		if expiry.At.IsZero() != (text == "") {
			t.Fatalf("%q became %v", text, expiry.At)
		}
		// What it prints means the same, unless the year has five digits.
		again, err := apikey.ParseExpiry(expiry.String())
		if expiry.At.Year() <= 9999 && expiry.At.Year() >= 0 && (err != nil || again.String() != expiry.String() || !again.At.Equal(expiry.At)) {
			t.Fatalf("%q printed as %q, which is %v, %v", text, expiry.String(), again, err)
		}
	})
}

func TestOnce(t *testing.T) {
	r := newRig(t)
	once := func(s *apikey.Spec) {
		s.Once = &store.OnceID{Space: "create", ID: "order-1", Expires: noon.Add(time.Hour)}
	}
	key, _ := r.create(owner, "team-a", "", once)
	found, err := r.store.OnceIDs.Find(t.Context(), "create", "order-1", noon)
	require.NoError(t, err)
	require.Equal(t, key.ID, found.Value, "B23 the first key's id is found")
	_, secret, err := r.tryCreate(owner, "team-a", "", once)
	require.ErrorIs(t, err, store.ErrExists, "B23")
	require.Empty(t, secret.Reveal())
	_, _, err = r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Once: &store.OnceID{Space: "create", ID: "order-1", Expires: noon.Add(time.Hour)}})
	require.ErrorIs(t, err, store.ErrExists)
	r.rotate(owner, key.ID, apikey.Rotation{Once: &store.OnceID{Space: "create", ID: "order-2", Expires: noon.Add(time.Hour)}})
	added := aPublicKey("added")
	added.Once = &store.OnceID{Space: "create", ID: "order-2", Expires: noon.Add(time.Hour)}
	_, err = r.AddCredential(t.Context(), owner, key.ID, added)
	require.ErrorIs(t, err, store.ErrExists, "B23")
	added.Once.ID = "order-3"
	r.add(owner, key.ID, added)
	id, _, err := r.FindOnce(t.Context(), *added.Once)
	require.NoError(t, err)
	require.Equal(t, key.ID, id)
	for _, bad := range []*store.OnceID{{Space: "s", ID: "i"}, {Space: "s", ID: "i", Expires: noon}, {Space: "s", Expires: noon.Add(1)}} {
		_, _, err = r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Once: bad})
		require.ErrorAs(t, err, new(*apikey.InvalidError))
		added := aPublicKey("refused")
		added.Once = bad
		_, err = r.AddCredential(t.Context(), owner, key.ID, added)
		require.ErrorAs(t, err, new(*apikey.InvalidError))
	}
	r.clock.Advance(time.Hour)
	r.create(owner, "team-a", "", once, func(s *apikey.Spec) { s.Once.Expires = noon.Add(2 * time.Hour) })
	page, err := r.List(t.Context(), owner, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 2)
}

// greedy is a policy that tries to widen every request.
type greedy struct{}

func (greedy) CheckKey(_ context.Context, r *policy.KeyRequest) error {
	r.After.Permissions = r.After.Permissions.Union(catalog.All())
	r.After.NotAfter = time.Time{}
	r.After.ID, r.After.Workspace, r.After.Epoch, r.After.CreatedBy.ID = "stolen", "team-b", 99, "nobody"
	if len(r.After.Credentials) > 0 {
		r.After.Credentials[0].Digest = "forged"
	}
	return nil
}

func (greedy) CheckToken(_ context.Context, r *policy.TokenRequest) error {
	r.Key.ID, r.Key.Workspace, r.Key.Epoch = "stolen", "team-b", 99
	r.Key.Permissions = catalog.All()
	r.Key.Credentials[0].ID = "forged"
	r.Credential.ID = "forged"
	r.Requested = catalog.All()
	r.Workspace.Epoch, r.Instance.Epoch = 99, 99
	return nil
}

func TestPolicyCannotWiden(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) { c.Policy = greedy{} })
	end := apikey.Expiry{At: noon.Add(time.Hour)}
	key, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = end })
	check := func(got apikey.Key) {
		t.Helper()
		require.Equal(t, key.ID, got.ID)
		require.Equal(t, "team-a", got.Workspace)
		require.Equal(t, "project.list", got.Permissions.String())
		require.Equal(t, end.At, got.NotAfter)
		require.Equal(t, "olga", got.CreatedBy.ID)
	}
	check(key)
	updated, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Name: ptr("new")})
	require.NoError(t, err)
	check(updated)
	rotated, _ := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	check(rotated)
	grant := r.mustLogin(key.ID, secret)
	check(grant.Key)
	require.Equal(t, "project.list", grant.Permissions.String(), "B21")
	require.Equal(t, key.Credentials[0].ID, grant.CredentialID, "B21")
	require.Zero(t, grant.Epochs[0]+grant.Epochs[1])
	require.Positive(t, grant.Epochs[2])
}

func TestPolicyNarrows(t *testing.T) {
	end := noon.Add(time.Hour)
	r := newRig(t, func(c *apikey.Config) {
		c.Policy = policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
			for _, s := range append(r.After.Credentials, store.Credential{}) {
				if s.Digest != "" {
					return errors.New("a policy sees a digest")
				}
			}
			r.Drop(perms("project.delete"))
			r.ShortenTo(end)
			return nil
		})
	})
	date, err := apikey.ParseExpiry("2026-07-31")
	require.NoError(t, err)
	key, _ := r.create(owner, "team-a", "project.*", func(s *apikey.Spec) { s.Expiry = date })
	check := func(k apikey.Key) {
		t.Helper()
		require.Equal(t, "project.list project.save", k.Permissions.String())
		require.Equal(t, end, k.NotAfter)
		require.Empty(t, k.NotAfterText)
	}
	check(key)
	updated, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Permissions: ptr(perms("project.delete project.list project.save")), Expiry: &date})
	require.NoError(t, err)
	check(updated)
	rotated, _ := r.rotate(owner, key.ID, apikey.Rotation{Changes: apikey.Changes{Permissions: ptr(perms("project.*")), Expiry: &apikey.Expiry{}}})
	check(rotated)
	_, err = r.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	enabled, err := r.Enable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	check(enabled)
	t.Run("an actor may request a permission that it may not grant if a policy drops it", func(t *testing.T) {
		child, _ := r.create(owner.Granting(perms("project.list project.save")), "team-a", "project.*")
		check(child)
	})
}

func TestDeniedReasonsReachTheCaller(t *testing.T) {
	var says error
	r := newRig(t, func(c *apikey.Config) {
		c.Policy = policy.All(
			policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return says }),
			policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return says }),
		)
	})
	key, secret := r.create(owner, "team-a", "")
	_, err := r.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		says error
		want *policy.Denied // nil: an outage
	}{
		{"its own words", &policy.Denied{Rule: "tuesday", Reason: "Not on a Tuesday."}, &policy.Denied{Rule: "tuesday", Reason: "Not on a Tuesday."}},
		{"a foreign error is not repeated", errors.New("secret detail"), &policy.Denied{Rule: "custom", Reason: "A policy of this service refused the request."}},
		{"an outage is no decision", store.ErrUnavailable, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			says = nil
			_, err := r.Enable(t.Context(), owner, key.ID, 0)
			require.NoError(t, err)
			says = tc.says
			check := func(err error) {
				t.Helper()
				var denied *policy.Denied
				if tc.want == nil {
					require.ErrorIs(t, err, store.ErrUnavailable)
					require.False(t, errors.As(err, &denied))
					return
				}
				require.ErrorAs(t, err, &denied)
				require.Equal(t, tc.want.Rule, denied.Rule)
				require.Equal(t, tc.want.Reason, denied.Reason)
			}
			_, _, err = r.tryCreate(owner, "team-a", "")
			check(err)
			_, err = r.Update(t.Context(), owner, key.ID, apikey.Changes{Name: ptr("x" + tc.name)})
			check(err)
			_, _, err = r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{})
			check(err)
			_, err = r.login(key.ID, secret.Reveal())
			check(err)
			_, err = r.Disable(t.Context(), owner, key.ID, 0)
			require.NoError(t, err, "no policy can refuse a change that only takes away")
			_, err = r.Enable(t.Context(), owner, key.ID, 0)
			check(err)
		})
	}
}

// TestDefaultLifetimeSatisfiesTheSettings tests that the host's policy runs before
// the settings are checked.
func TestDefaultLifetimeSatisfiesTheSettings(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) {
		c.Policy = policy.DefaultLifetime(24 * time.Hour)
		c.DefaultRules = store.Rules{RequireExpiry: true, MaxLifetime: 48 * time.Hour}
	})
	key, _ := r.create(owner, "team-a", "")
	require.Equal(t, noon.Add(24*time.Hour), key.NotAfter)
	_, _, err := r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(49 * time.Hour)} })
	var denied *policy.Denied
	require.ErrorAs(t, err, &denied)
	require.Equal(t, "settings.max_lifetime", denied.Rule)
	_, _, err = r.tryCreate(owner, "team-a", "project.list unknown")
	var unknown *apikey.InvalidError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []apikey.FieldProblem{{Field: "permissions", Reason: "These do not exist: unknown."}}, unknown.Problems)
}
