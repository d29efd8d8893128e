package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// joins are the joins of the package's documentation, by dialect.
var joins = map[sqlstore.Dialect]string{
	sqlstore.PostgreSQL: `SELECT t.title, k.id, k.name, k.permissions, k.created
		FROM teams t JOIN latchkey_keys_view k ON k.workspace = t.id ORDER BY k.id`,
	sqlstore.MySQL: `SELECT t.title, k.id, k.name, k.permissions, k.created
		FROM teams t JOIN latchkey_keys_view k ON k.workspace = t.id COLLATE utf8mb4_bin ORDER BY k.id`,
	sqlstore.SQLite: `SELECT t.title, k.id, k.name, k.permissions, k.created
		FROM teams t JOIN latchkey_keys_view k ON k.workspace = t.id ORDER BY k.id`,
}

// Operators read the views, and join them with tables of the host.
func TestViews(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		k := key("team-ä", "key-1")
		k.Name, k.NotAfter, k.Direct = "Größe", time.Time{}, true
		made := event("made")
		made.Events[0].KeyName, made.Events[0].ActorName, made.Events[0].Address = "Größe", "Jürgen", "2001:db8::1"
		made.Events[0].Changes = []store.FieldChange{{Field: "name", Old: "Länge", New: "Größe"}}
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, made))
		require.NoError(t, s.Keys.Create(ctx, key("team-b", "key-2"), store.NoLimit, store.Change{}))
		rules := store.Rules{KeyRequests: 60, WorkspaceRequests: store.Unlimited}
		require.NoError(t, s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-b", Suspended: true, Rules: rules, Updated: noon}, store.Change{}))
		run(t, db, "CREATE TABLE teams (id VARCHAR(100) NOT NULL PRIMARY KEY, title VARCHAR(100))"+
			map[bool]string{true: " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"}[e.dialect == sqlstore.MySQL])
		run(t, db, "INSERT INTO teams VALUES ('team-ä', 'Research'), ('team-c', 'Sales')")

		t.Run("keys beside the host's teams", func(t *testing.T) {
			rows, err := db.QueryContext(ctx, joins[e.dialect])
			require.NoError(t, err)
			defer rows.Close()
			require.True(t, rows.Next())
			var title, id, name, permissions, created string
			require.NoError(t, rows.Scan(&title, &id, &name, &permissions, &created))
			require.Equal(t, []string{"Research", "key-1", "Größe", "project.list project.read"}, []string{title, id, name, permissions})
			require.Contains(t, strings.ReplaceAll(created, "T", " "), "2026-03-01 12:00:00")
			require.False(t, rows.Next())
			require.NoError(t, rows.Err())
		})
		t.Run("a missing time is NULL", func(t *testing.T) {
			require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_keys_view WHERE not_after IS NULL"))
			require.Equal(t, 2, count(t, db, "SELECT COUNT(*) FROM latchkey_keys_view WHERE last_used IS NULL"))
		})
		t.Run("workspaces and events", func(t *testing.T) {
			require.Equal(t, 1, count(t, db, "SELECT number_of_keys FROM latchkey_workspaces_view WHERE id = 'team-b' AND suspended AND key_requests = 60 AND workspace_requests = -1"))
			require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_keys_view WHERE direct"))
			require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_events_view WHERE id = 'made' AND action = 'key.change'"))
			require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_events_view WHERE key_name = 'Größe' AND actor_name = 'Jürgen' AND address = '2001:db8::1' AND changes LIKE '%Länge%'"))
		})
		t.Run("no digest", func(t *testing.T) {
			for _, view := range []string{"keys_view", "credentials_view", "workspaces_view", "events_view"} {
				rows, err := db.QueryContext(ctx, "SELECT * FROM latchkey_"+view) //nolint:gosec // one of the names above
				require.NoError(t, err)
				columns, err := rows.Columns()
				require.NoError(t, err)
				require.NoError(t, rows.Close())
				require.NotContains(t, columns, "credentials")
				require.NotContains(t, columns, "digest")
			}
		})
	})
}

// Operators see the credentials of each key with their kind.
func TestCredentialsView(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		k := key("team-ä", "key-1")
		k.Credentials = append(k.Credentials,
			store.Credential{ID: "p1", Name: "Größe \U0001f511", Created: noon.Add(123 * time.Millisecond), NotAfter: noon.Add(time.Hour), CreatedBy: store.ActorRef{Kind: "owner", ID: "jürgen"}, PublicKey: &store.PublicKey{JWK: "{}"}},
			store.Credential{ID: "github.1", Name: "nightly", LastUsed: noon, Trust: &store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "ref", Value: "länge"}}}},
			store.Credential{ID: "old", Created: time.Date(0, 5, 1, 0, 0, 0, 0, time.UTC)})
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
		require.NoError(t, s.Keys.Create(ctx, store.Key{ID: "key-2", Workspace: "team-a"}, store.NoLimit, store.Change{}))
		rows, err := db.QueryContext(ctx, `SELECT c.key_id, c.workspace, c.id, c.kind, c.name, c.hint, c.issuer, c.claims, c.creator_kind, c.creator_id, c.created, c.not_after, c.last_used
			FROM latchkey_credentials_view c JOIN latchkey_keys_view k ON k.id = c.key_id ORDER BY c.id`)
		require.NoError(t, err)
		defer rows.Close()
		forms := strings.NewReplacer("T", " ", "Z", "", ".000000", "", ".000", "", ".123000", ".123") // of times
		var got []string
		for rows.Next() {
			words := make([]sql.NullString, 13)
			var to []any
			for i := range words {
				to = append(to, &words[i])
			}
			require.NoError(t, rows.Scan(to...))
			var line []string
			for _, word := range words {
				line = append(line, forms.Replace(word.String))
			}
			got = append(got, strings.Join(line, "|"))
		}
		require.NoError(t, rows.Err())
		require.Equal(t, []string{
			`key-1|team-ä|github.1|trust|nightly||github|[{"name":"ref","value":"länge"}]|||||2026-03-01 12:00:00`,
			`key-1|team-ä|old|secret|||||||||`,
			`key-1|team-ä|p1|public_key|Größe ` + "\U0001f511" + `||||owner|jürgen|2026-03-01 12:00:00.123|2026-03-01 13:00:00|`,
			`key-1|team-ä|s1-key-1|secret||Ab1x|||||2026-03-01 12:00:00||`,
		}, got)
	})
}

// Texts are compared byte by byte on every database. Trailing spaces, case and accents
// matter.
func TestTextsAreExact(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		texts := []string{"a", "a ", "A", "á", "a\u0301", " a", "a\t", "ａ"}
		for _, text := range texts {
			k := key("team-"+text, text)
			k.Name, k.CreatedBy.ID, k.Credentials[0].ID = text, text, text
			require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
			require.NoError(t, s.HostLists.Record(ctx, store.ListEntry{List: store.SecretPrefixes, Name: text, Fingerprint: text}))
		}
		for _, text := range texts {
			found, err := s.Keys.Lookup(ctx, text)
			require.NoError(t, err)
			require.Equal(t, text, found.Key.Name)
			require.Equal(t, 1, found.Workspace.Keys)
			bySecret, err := s.Secrets.LookupSecret(ctx, text)
			require.NoError(t, err)
			require.Equal(t, found, bySecret)
			page, err := s.Keys.List(ctx, store.KeyQuery{CreatorID: text})
			require.NoError(t, err)
			require.Len(t, page.Keys, 1)
		}
		page, err := s.Keys.List(ctx, store.KeyQuery{Sort: store.ByName})
		require.NoError(t, err)
		var names []string
		for _, k := range page.Keys {
			names = append(names, k.Name)
		}
		require.Equal(t, []string{" a", "A", "a", "a\t", "a ", "a\u0301", "á", "ａ"}, names)
	})
}

// A text that not every database can store is refused with an error, or not found.
func TestTextsThatCannotBeKept(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
		for _, bad := range []string{"a\x00b", "\xff", "\x00"} {
			refused := func(err error) {
				t.Helper()
				require.ErrorContains(t, err, "must be UTF-8 without a zero byte")
				require.NotErrorIs(t, err, store.ErrUnavailable)
			}
			k := key("team-a", "key-2")
			k.Name = bad
			refused(s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
			k = key("team-a", "key-1")
			k.Credentials[0].Hint = bad
			refused(s.Keys.Update(ctx, k, store.Change{}))
			refused(s.Settings.SetWorkspace(ctx, store.Workspace{ID: bad}, store.Change{}))
			refused(s.Settings.DeleteWorkspace(ctx, bad, noon, store.Change{}))
			refused(s.Events.Append(ctx, store.Event{ID: "event-1", Time: noon, Note: bad}))
			refused(s.Epochs.Revoke(ctx, bad, noon, noon))
			refused(s.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: bad}))
			refused(s.Usage.Add(ctx, []store.Count{{Workspace: bad, Key: "key-1", Day: noon, Logins: 1}}))
			refused(s.OnceIDs.Spend(ctx, store.OnceID{Space: "form", ID: "1", Value: bad, Expires: noon.Add(time.Hour)}, noon))

			_, err := s.Keys.Lookup(ctx, bad)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.Secrets.LookupSecret(ctx, bad)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: bad})
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.Epochs.Read(ctx, store.TokenRef{Workspace: bad, Key: "key-1", TokenID: bad})
			require.ErrorIs(t, err, store.ErrNotFound)
			require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", bad, 0, noon, store.Change{}), store.ErrNotFound)
			require.ErrorIs(t, s.HostLists.Forget(ctx, store.Peppers, bad), store.ErrNotFound)
			require.ErrorIs(t, s.Upkeep.Rehash(ctx, bad, "s1-"+bad, "a", "b"), store.ErrNotFound)
			require.NoError(t, s.Upkeep.RecordUses(ctx, []store.Use{{Key: bad, Credential: "s1-" + bad, At: noon}}))
			w, err := s.Settings.Workspace(ctx, bad)
			require.NoError(t, err)
			require.Equal(t, store.Workspace{ID: bad}, w)
			for _, q := range []store.KeyQuery{{Workspace: bad}, {Text: bad}, {CreatorID: bad}, {CreatedBy: store.ActorRef{ID: bad}}, {Permission: bad}} {
				page, err := s.Keys.List(ctx, q)
				require.NoError(t, err)
				require.Empty(t, page.Keys)
			}
			events, err := s.Events.List(ctx, store.EventQuery{Key: bad})
			require.NoError(t, err)
			require.Empty(t, events.Events)
			c := store.Change{Preconditions: []store.Precondition{{Key: bad, Version: 1}}}
			require.ErrorIs(t, s.Keys.Create(ctx, key("team-a", "key-3"), store.NoLimit, c), store.ErrConflict)
			c.Preconditions = []store.Precondition{{Workspace: bad}}
			require.NoError(t, s.Keys.Update(ctx, keyAt(t, s, "key-1"), c))
		}
	})
}

// A credential with a text that is too long, or that not every database can store, is refused.
func TestCredentialsThatCannotBeKept(t *testing.T) {
	ctx := context.Background()
	fields := []struct {
		name string
		most int // bytes
		set  func(c *store.Credential, text string)
	}{
		{"id", 255, func(c *store.Credential, text string) { c.ID = text }},
		{"name", 1024, func(c *store.Credential, text string) { c.Name = text }},
		{"public key", 4096, func(c *store.Credential, text string) { c.PublicKey = &store.PublicKey{JWK: text} }},
		{"issuer", 255, func(c *store.Credential, text string) { c.Trust = &store.Trust{Issuer: text} }},
		{"name of a claim", 255, func(c *store.Credential, text string) {
			c.Trust = &store.Trust{Claims: []store.Claim{{Name: "first"}, {Name: text}}}
		}},
		{"claim", 1024, func(c *store.Credential, text string) {
			c.Trust = &store.Trust{Claims: []store.Claim{{Name: "first"}, {Name: "second", Value: text}}}
		}},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		for _, field := range fields {
			refusal := fmt.Sprintf("must have at most %d bytes", field.most)
			for bad, says := range map[string]string{strings.Repeat("x", field.most+1): refusal, "a\x00b": "must be UTF-8 without a zero byte", "\xff": "must be UTF-8 without a zero byte"} {
				k := key("team-a", field.name)
				k.Credentials = append(k.Credentials, store.Credential{ID: "new", Created: noon})
				field.set(&k.Credentials[1], bad)
				require.ErrorContains(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}), says, field.name)
				require.ErrorContains(t, s.Keys.Update(ctx, k, store.Change{}), says, field.name)
				_, err := s.Keys.Lookup(ctx, field.name)
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		}
	})
}

func keyAt(t *testing.T, s store.Store, id string) store.Key {
	t.Helper()
	found, err := s.Keys.Lookup(context.Background(), id)
	require.NoError(t, err)
	return found.Key
}
