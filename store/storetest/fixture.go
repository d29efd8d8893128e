package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

var (
	background = context.Background()
	// noon is the present time of most rules. It is in the past by every driver's clock.
	noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	// farAhead is an expiry that is never reached.
	farAhead = time.Date(2190, 1, 1, 0, 0, 0, 0, time.UTC)
)

// newKey returns a key with a value in every field. The ids of its credentials are s1-, s2-
// (secrets), p1- (a public key) and t1- (a trust) with the id of the key.
func newKey(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "name of " + id,
		Permissions: scope.MustParse("project.list project.read"), RequestedPermissions: scope.MustParse("project.*"),
		AdminPermissions: scope.MustParse("project.read"),
		Credentials: []store.Credential{
			{
				ID: "s1-" + id, Hint: "Ab1x", Digest: "hmac-sha256$1$" + id, Prefix: "acme_", CreatedBy: store.ActorRef{Kind: "owner", ID: "person-1"},
				Generated: true, Created: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
			},
			{
				ID: "s2-" + id, Hint: "Cd2y", Digest: "hmac-sha256$2$" + id, CreatedBy: store.ActorRef{Kind: "key", ID: "key-of-" + id},
				Created: noon.Add(-time.Minute),
			},
			{
				ID: "p1-" + id, Name: "public key of " + id, CreatedBy: store.ActorRef{Kind: "owner", ID: "person-1"}, Created: noon.Add(-time.Minute), NotAfter: noon.Add(2 * time.Hour),
				PublicKey: &store.PublicKey{JWK: `{"kty":"OKP","crv":"Ed25519","kid":"` + id + `"}`, EndpointAudience: true, LongAssertions: true},
			},
			{
				ID: "t1-" + id, Name: "trust of " + id, CreatedBy: store.ActorRef{Kind: "admin", ID: "person-2"}, Created: noon.Add(-time.Second),
				Trust: &store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "repository_id", Value: "1234"}, {Name: "environment", Value: "of " + id}}},
			},
		},
		NotAfter: noon.AddDate(0, 1, 0), NotAfterText: "2026-04-01",
		Direct:    true,
		Resources: []string{"https://one.example.com", "https://two.example.com/api"},
		CreatedBy: store.ActorRef{Kind: "owner", ID: "person-1"},
		Created:   noon.Add(-time.Hour), Updated: noon.Add(-time.Minute),
		Depth: 2, Version: 1,
	}
}

// plainKey returns a key with as few fields as possible.
func plainKey(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: id, Created: noon, Updated: noon, Version: 1,
		Credentials: []store.Credential{{ID: "s1-" + id, Digest: "d", Created: noon}},
	}
}

func newEvent(id string) store.Event {
	return store.Event{
		ID: id, Time: noon, Actor: store.ActorRef{Kind: "owner", ID: "person-1"}, Action: "key.create",
		Workspace: "team-a", Key: "key-1", KeyName: "nightly build, \u00fcber", ActorName: "Olga O'Neil", Address: "2001:db8::1", Note: "by hand",
		Changes: []store.FieldChange{{Field: "name", New: "nightly build"}, {Field: "permissions", Old: "project.list project.read", New: ""}, {Field: "resources", Old: "a\n\"b\"<&>", New: "\u2026"}},
	}
}

// onceID returns a one-time id that does not expire while the test runs.
func onceID(id string) *store.OnceID {
	return &store.OnceID{Space: "test", ID: id, Value: "value of " + id, Expires: farAhead}
}

// change returns a Change with one event and one one-time id with the given name.
func change(name string) store.Change {
	return store.Change{Events: []store.Event{newEvent(name)}, Once: onceID(name), Now: noon}
}

func create(t tester, s store.Store, keys ...store.Key) {
	t.Helper()
	for _, k := range keys {
		if err := s.Keys.Create(background, k, store.NoLimit, store.Change{Now: noon}); err != nil {
			t.Fatalf("Create(%s): %v", k.ID, err)
		}
	}
}

func lookup(t tester, s store.Store, id string) store.Found {
	t.Helper()
	found, err := s.Keys.Lookup(background, id)
	if err != nil {
		t.Fatalf("Lookup(%s): %v", id, err)
	}
	return found
}

func update(t tester, s store.Store, k store.Key) {
	t.Helper()
	must(t, "Update", s.Keys.Update(background, k, store.Change{Now: noon}))
}

// remove deletes the key at any version.
func remove(t tester, s store.Store, workspace, id string) {
	t.Helper()
	must(t, "Delete", s.Keys.Delete(background, workspace, id, 0, noon, store.Change{Now: noon}))
}

func workspace(t tester, s store.Store, id string) store.Workspace {
	t.Helper()
	w, err := s.Settings.Workspace(background, id)
	must(t, "Workspace", err)
	return w
}

func instance(t tester, s store.Store) store.InstanceSettings {
	t.Helper()
	in, err := s.Settings.Instance(background)
	must(t, "Instance", err)
	return in
}

func must(t tester, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantError checks that err is want, and no other error of the contract.
func wantError(t tester, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
		return
	}
	for _, other := range []error{store.ErrNotFound, store.ErrExists, store.ErrCredentialExists, store.ErrConflict, store.ErrLimit, store.ErrUnavailable} {
		if !errors.Is(want, other) && errors.Is(err, other) {
			t.Errorf("%s: error %v is %v and also %v", what, err, want, other)
		}
	}
}

func equal[V comparable](t tester, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalList[V comparable](t tester, what string, got, want []V) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func equalTime(t tester, what string, got, want time.Time) {
	t.Helper()
	equal(t, what, stamp(got), stamp(want))
}

// stamp formats a time. Times in other zones than UTC differ.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "zero"
	}
	return t.Format(time.RFC3339Nano)
}

func equalKey(t tester, what string, got, want store.Key) {
	t.Helper()
	equalText(t, what, keyText(got), keyText(want))
}

// equalText compares records line by line, and reports the lines that differ.
func equalText(t tester, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s: got %s, want %s", what, g, w)
		}
	}
}

func keyText(k store.Key) []string {
	text := []string{
		"ID " + k.ID, "Workspace " + k.Workspace, "Name " + k.Name,
		"Permissions " + k.Permissions.String(), "RequestedPermissions " + k.RequestedPermissions.String(), "AdminPermissions " + k.AdminPermissions.String(),
		"NotAfter " + stamp(k.NotAfter), "NotAfterText " + k.NotAfterText,
		fmt.Sprint("Disabled ", k.Disabled), fmt.Sprint("Direct ", k.Direct), fmt.Sprintf("CreatedBy %+v", k.CreatedBy),
		"Created " + stamp(k.Created), "Updated " + stamp(k.Updated), "LastUsed " + stamp(k.LastUsed),
		fmt.Sprint("Version ", k.Version), fmt.Sprint("Depth ", k.Depth), fmt.Sprintf("Resources %q", k.Resources),
	}
	for i := range k.Credentials {
		text = append(text, credentialText(&k.Credentials[i]))
	}
	return text
}

func credentialText(c *store.Credential) string {
	kind := "secret"
	if c.PublicKey != nil {
		kind = fmt.Sprintf("public key %q for the endpoint %t, long %t", c.PublicKey.JWK, c.PublicKey.EndpointAudience, c.PublicKey.LongAssertions)
	}
	if c.Trust != nil {
		kind = fmt.Sprintf("trust in %q of %q", c.Trust.Issuer, c.Trust.Claims)
	}
	return fmt.Sprintf("Credential %s name %q hint %s digest %s prefix %q by %+v generated %t created %s not after %s last used %s, %s",
		c.ID, c.Name, c.Hint, c.Digest, c.Prefix, c.CreatedBy, c.Generated, stamp(c.Created), stamp(c.NotAfter), stamp(c.LastUsed), kind)
}

// scribble changes everything in a key that a copy of it could share.
func scribble(k *store.Key) {
	for i := range k.Credentials {
		c := &k.Credentials[i]
		c.ID, c.Digest, c.Name = "changed by the caller", "changed by the caller", "changed by the caller"
		if c.PublicKey != nil {
			c.PublicKey.JWK, c.PublicKey.LongAssertions = "changed by the caller", false
		}
		if c.Trust != nil {
			c.Trust.Issuer, c.Trust.Claims[0] = "changed by the caller", store.Claim{Name: "changed", Value: "by the caller"}
		}
	}
	k.Resources[0] = "changed by the caller"
}

func eventText(e store.Event) []string {
	return []string{
		"ID " + e.ID, "Time " + stamp(e.Time), fmt.Sprintf("Actor %+v", e.Actor), "Action " + e.Action,
		"Workspace " + e.Workspace, "Key " + e.Key, fmt.Sprintf("Changes %q", e.Changes), "Note " + e.Note,
		"ActorName " + e.ActorName, "KeyName " + e.KeyName, "Address " + e.Address,
	}
}

func instanceText(in store.Instance) []string {
	return []string{
		fmt.Sprint("KeysOff ", in.KeysOff), fmt.Sprint("DirectOff ", in.DirectOff), rulesText(in.Rules), "Updated " + stamp(in.Updated), fmt.Sprint("Version ", in.Version),
	}
}

func settingsText(in store.InstanceSettings) []string {
	return append(instanceText(in.Instance), fmt.Sprint("Reminders ", in.Reminders))
}

func workspaceText(w store.Workspace) []string {
	return []string{
		"ID " + w.ID, fmt.Sprint("Suspended ", w.Suspended), fmt.Sprint("Deleted ", w.Deleted), rulesText(w.Rules),
		"Updated " + stamp(w.Updated), fmt.Sprint("Version ", w.Version), fmt.Sprint("Keys ", w.Keys),
	}
}

func rulesText(r store.Rules) string {
	return fmt.Sprintf("Rules maximum %d, expiry %t, lifetime %s, enforced from %s, requests %d and %d",
		r.MaxKeys, r.RequireExpiry, r.MaxLifetime, stamp(r.EnforcedFrom), r.KeyRequests, r.WorkspaceRequests)
}

// eventIDs returns the ids of the whole audit log, newest first.
func eventIDs(t tester, s store.Store) []string {
	t.Helper()
	page, err := s.Events.List(background, store.EventQuery{Limit: store.MaxPage})
	must(t, "Events.List", err)
	ids := []string{}
	for _, e := range page.Events {
		ids = append(ids, e.ID)
	}
	return ids
}

// race calls do n times concurrently.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-gate
			errs[i] = do(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	return errs
}

// wins returns how many calls of a race succeeded. It checks that the others failed with
// lost.
func wins(t tester, what string, errs []error, lost error) int {
	t.Helper()
	n := 0
	for _, err := range errs {
		if err == nil {
			n++
		} else {
			wantError(t, what, err, lost)
		}
	}
	return n
}
