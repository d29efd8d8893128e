package apikey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// TestEventsOfLongCredentials tests that an event names all that a credential accepts,
// however long its texts are.
func TestEventsOfLongCredentials(t *testing.T) {
	long := strings.Repeat("x", 440)
	for name, spec := range map[string]apikey.CredentialSpec{
		"long values":     aTrust("evil", "environment", long, "job_workflow_ref", long, "repository_id", "666"),
		"quotes":          aTrust("evil", "environment", strings.Repeat(`"`, 440), "job_workflow_ref", long, "repository_id", "666"),
		"a long name":     aTrust("evil"+strings.Repeat("\U0001F600", 250), "environment", "x", "job_workflow_ref", long, "repository_id", "666"),
		"a name and text": aTrust("evil"+strings.Repeat(`"`, 250), "environment", strings.Repeat("€", 170), "job_workflow_ref", long, "repository_id", "666"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, trusting)
			key, _ := r.create(owner, "team-a", "")
			r.clock.Advance(time.Second)
			held := last(r.add(owner, key.ID, spec))
			events := r.events(store.EventQuery{})
			changes := events[len(events)-1].Changes
			require.Len(t, changes, 1)
			text := changes[0].New
			require.True(t, strings.HasPrefix(text, held.ID+` "evil`), text)
			require.Contains(t, text, ` issuer github `)
			require.Contains(t, text, ` "job_workflow_ref"="x`)
			require.Equal(t, name != "long values", strings.Contains(text, `"…`), text)
			require.True(t, strings.HasSuffix(text, ` "repository_id"="666"`), text)
			require.LessOrEqual(t, len(text), 1024)
		})
	}
	t.Run("a new key names each credential", func(t *testing.T) {
		r := newRig(t, trusting)
		key, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) {
			for n := range 8 {
				s.Credentials = append(s.Credentials, keyOf(n))
			}
			for n := range 16 {
				s.Credentials = append(s.Credentials, trustOf(n))
			}
			s.Credentials = append(s.Credentials[:23], aTrust("last", "ref", long, "repository_id", "666", "environment", long))
		})
		changes := r.events(store.EventQuery{})[0].Changes
		changes = changes[len(changes)-len(key.Credentials):]
		for i, c := range key.Credentials {
			require.True(t, strings.HasPrefix(changes[i].New, c.ID+" "), changes[i].New)
		}
		r.clock.Advance(time.Second)
		require.NoError(t, r.Delete(t.Context(), owner, key.ID, 0))
		deleted := r.events(store.EventQuery{})[1]
		require.Equal(t, changes[3].New, deleted.Changes[len(deleted.Changes)-len(changes)+3].Old)
		require.NoError(t, newRig(t).RestoreEvent(t.Context(), admin, deleted))
	})
	t.Run("a renewal names both", func(t *testing.T) {
		r := newRig(t, trusting)
		key, _ := r.create(owner, "team-a", "")
		r.clock.Advance(time.Second)
		held := last(r.add(owner, key.ID, aTrust("deploy", "environment", long, "ref", long, "repository_id", "1")))
		spec := aTrust("deploy", "repository_id", "666", "ref", "refs/heads/main")
		spec.Replaces, spec.Grace = held.ID, time.Minute
		r.clock.Advance(time.Second)
		now := last(r.add(owner, key.ID, spec))
		changes := r.events(store.EventQuery{})[2].Changes
		require.Len(t, changes, 2)
		require.True(t, strings.HasPrefix(changes[0].Old, held.ID+` "deploy" issuer`), changes[0].Old)
		require.True(t, strings.HasPrefix(changes[0].New, held.ID+` "deploy" until 2026-07-01T12:01:02Z issuer`), changes[0].New)
		require.Equal(t, store.FieldChange{Field: "trusts", New: now.ID + ` "deploy" issuer github "ref"="refs/heads/main" "repository_id"="666"`}, changes[1])
	})
	t.Run("a claim's name cannot pass for another text", func(t *testing.T) {
		r := newRig(t, trusting)
		r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{trustOf(1)} })
		record := r.records()[0]
		record.Key.Credentials[1].Trust.Claims[0].Name = `a="1", github.zzz "x" issuer github repository_id`
		to := newRig(t)
		if add, err := to.Restorer(t.Context(), admin); err == nil && add(record) == nil {
			changes := to.events(store.EventQuery{})[0].Changes
			require.Contains(t, changes[len(changes)-1].New, ` "a=\"1\", github.zzz \"x\" issuer github repository_id"=`)
		}
	})
}
