package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// aLine is a valid line.
func aLine(id string) string {
	return `{"format":1,"key":{"id":"` + id + `","workspace":"team-a","name":"ci","permissions":["project.list"],"requested":["project.*"],` +
		`"credentials":[{"id":"s-` + id + `","hint":"a1b2","digest":"hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q","generated":true,"created":"2026-07-01T10:00:00Z"}],` +
		`"not_after":"2027-02-01T00:00:00Z","not_after_text":"2027-01-31","created_by":{"kind":"owner","id":"olga"},"created":"2026-07-01T10:00:00Z","depth":3}}`
}

func TestRestoreMalformed(t *testing.T) {
	good := aLine("k")
	edit := func(old, now string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, now, 1)
	}
	secret := good[strings.Index(good, `{"id":"s-k"`):strings.Index(good, `],"not_after"`)]
	for _, tc := range []struct{ name, line, says string }{
		{"taken", good, ""},
		{"a carriage return", good + "\r", ""},
		{"no secret left", edit(secret, ""), ""},
		{"not JSON", "ci,team-a", "syntax"},
		{"cut off", good[:200], "line"},
		{"two objects", good + good, "syntax"},
		{"an array", "[" + good + "]", "object was expected"},
		{"a byte order mark", "\ufeff" + good, "byte order mark"},
		{"an unknown member", edit(`"format":1,`, `"format":1,"root":true,`), `"root": unknown member`},
		{"an unknown member of a key", edit(`"id":"k"`, `"id":"k","root":true`), `"root": unknown member`},
		{"a member twice", edit(`"id":"k"`, `"depth":1,"id":"k"`), "appears twice"},
		{"a member in another case", edit(`"depth"`, `"Depth"`), `only in case`},
		{"a member missing", edit(`"name":"ci",`, ``), `"name": is missing`},
		{"a member null", edit(`"name":"ci"`, `"name":null`), "name: It may not be empty"},
		{"no workspace member", edit(`"workspace":"team-a",`, ``), `"workspace": is missing`},
		{"no permissions", edit(`"permissions":["project.list"],`, ``), `"permissions": is missing`},
		{"permissions null", edit(`["project.list"]`, `null`), "permissions"},
		{"no time of creation", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"depth"`), `"created": is missing`},
		{"a time of creation that is null", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":null,"depth"`), "created: It may not be empty"},
		{"a secret without time of creation", edit(`"generated":true,"created":"2026-07-01T10:00:00Z"`, `"generated":true`), `"created": is missing`},
		{"a secret without a digest", edit(`"digest":"hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q",`, ``), "it is malformed"},
		{"a secret with an empty digest", edit(`hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q`, ``), "it is malformed"},
		{"a secret that is null", edit(secret, "null"), "An id has"},
		{"a permission that is null", edit(`["project.list"]`, `[null]`), "scope"},
		{"a member of another type", edit(`"depth":3`, `"depth":"3"`), `depth": it has the wrong type`},
		{"no format", edit(`"format":1,`, ``), `"format": is missing`},
		{"a later format", edit(`"format":1`, `"format":2`), "Its format is 2, but this version reads 1"},
		{"an unknown member of a secret", edit(`"hint"`, `"plaintext"`), `"plaintext": unknown member`},
		{"a secret's member twice", edit(`"hint":"a1b2",`, `"id":"s2",`), "appears twice"},
		{"a secret's member in another case", edit(`"hint":"a1b2",`, `"ID":"s2",`), "only in case"},
		{"a secret without digest", edit(`"digest"`, `"hint2"`), "unknown member"},
		{"credentials null", edit(`[`+secret+`]`, `null`), `"credentials" is null`},
		{"no credentials", edit(`"credentials":[`+secret+`],`, ``), `"credentials": is missing`},
		{"credentials no array", edit(`[`+secret+`]`, secret), `credentials": it has the wrong type`},
		{"no such time", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":"yesterday","depth"`), "RFC 3339"},
		{"a time without zone", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":"2026-07-01T10:00:00","depth"`), "RFC 3339"},
		{"B11 a digest for a time", edit(`"depth":3`, `"depth":3,"updated":"hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q"`), "RFC 3339"},
		{"B12 a time of half a megabyte", edit(`"depth":3`, `"depth":3,"updated":"`+strings.Repeat("2", backup.MaxLine/2)+`"`), "RFC 3339"},
		{"year 0", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":"0000-07-01T10:00:00Z","depth"`), "years 1 to 9999"},
		{"never created", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":"0001-01-01T00:00:00Z","depth"`), "created: It may not be empty"},
		{"created less than a microsecond after never", edit(`"created":"2026-07-01T10:00:00Z","depth"`, `"created":"0001-01-01T00:00:00.0000009Z","depth"`), "created: It may not be empty"},
		{"format 0", edit(`"format":1`, `"format":0`), "Its format is 0"},
		{"no key", `{"format":1}`, "It holds no record"},
		{"a key that is null", `{"format":1,"key":null}`, "It holds no record"},
		{"suspended without a key", `{"format":1,"suspended":true}`, "It holds no record"},
		{"a creator without kind", edit(`"kind":"owner",`, ``), `"kind": is missing`},
		{"no id", edit(`"id":"k"`, `"id":""`), "id: An id has"},
		{"an id with a space", edit(`"id":"k"`, `"id":"k k"`), "id: An id has"},
		{"an id too long", edit(`"id":"k"`, `"id":"`+strings.Repeat("k", 256)+`"`), "id: An id has"},
		{"B15 a name with a line break", edit(`"name":"ci"`, `"name":"ci\r\nX"`), "name: It may contain printable"},
		{"B15 a workspace with a right-to-left override", edit(`"workspace":"team-a"`, `"workspace":"\u202eteam"`), "workspace: It may contain printable"},
		{"no workspace", edit(`"workspace":"team-a"`, `"workspace":""`), "workspace: It may not be empty"},
		{"B12 a creator's kind that a store cannot hold", edit(`"kind":"owner"`, `"kind":"`+strings.Repeat("é", 200)+`"`), "created_by: A kind"},
		{"B15 a creator with a line break", edit(`"id":"olga"`, `"id":"ol\nga"`), "created_by: It may contain printable"},
		{"a malformed permission", edit(`["project.list"]`, `["project list"]`), "scope: "},
		{"a date of another day", edit(`2027-01-31`, `2027-01-30`), "not_after_text"},
		{"a malformed date", edit(`2027-01-31`, `soon`), "not_after_text"},
		{"an instant for a date", edit(`"not_after_text":"2027-01-31"`, `"not_after_text":"2027-02-01T00:00:00Z"`), "not_after_text"},
		{"B12 a thousand malformed resources", edit(`"created_by"`, `"resources":["here"`+strings.Repeat(`,"here"`, 999)+`],"created_by"`), "resources"},
		{"B21 an admin permission that it does not hold", edit(`"depth":3`, `"depth":3,"admin":["admin.keys.list"]`), "admin: It may contain only permissions of the key"},
		{"a malformed admin permission", edit(`"depth":3`, `"depth":3,"admin":["a b"]`), "scope: "},
		{"B27 deeper than keys make keys", edit(`"depth":3`, `"depth":4`), "depth: It must be from 0 to 3"},
		{"B27 less deep than a person's", edit(`"depth":3`, `"depth":-1`), "depth: It must be from 0 to 3"},
		{"B30 an epoch", edit(`"depth":3`, `"depth":3,"epoch":3`), `"epoch": unknown member`},
		{"a malformed prefix", edit(`"hint":"a1b2"`, `"hint":"a1b2","prefix":"lk"`), `The prefix "lk" is not`},
		{"B15 a secret's creator with a line break", edit(`"hint":"a1b2"`, `"hint":"a1b2","created_by":{"kind":"owner","id":"ol\nga"}`), "secrets: It may contain printable"},
		{"an unknown member of a creator", edit(`"id":"olga"`, `"id":"olga","name":"Olga"`), `member "name": unknown member`},
		{"an unknown member of a secret's creator", edit(`"hint":"a1b2"`, `"hint":"a1b2","created_by":{"name":"olga"}`), "unknown member"},
		{"two secrets of one id", edit(secret, secret+","+secret), "Two credentials have the same id"},
		{"too many secrets", edit(secret, strings.Repeat(secret+",", 8)+secret), "at most 8 secrets"},
		{"a secret without id", edit(`"id":"s-k"`, `"id":""`), "An id has"},
		{"a secret never created", edit(`"generated":true,"created":"2026-07-01T10:00:00Z"`, `"generated":true,"created":"0001-01-01T00:00:00Z"`), "A credential must have the time of its creation"},
		{"a secret of year 0", edit(`"generated":true,"created":"2026-07-01T10:00:00Z"`, `"generated":true,"created":"0000-07-01T10:00:00Z"`), "years 1 to 9999"},
		{"B15 a hint with a line break", edit(`a1b2`, `a1\nb2`), "secrets: It may contain printable"},
		{"a long hint", edit(`a1b2`, strings.Repeat("a", 33)), "hint has at most"},
		{"B01 a pepper that is not here", edit("hmac-sha256$1$", "hmac-sha256$2$"), "pepper version 2: it is not in Config.Peppers"},
		{"B01 a digest without a pepper, which is not listed here", edit("hmac-sha256$1$", "sha256$0$"), "pepper version 0: it is not in Config.Peppers"},
		{"a prefix that is not listed here", edit(`"hint":"a1b2"`, `"hint":"a1b2","prefix":"old_"`), `The prefix "old_" is not in Config.SecretPrefixes`},
		{"B01 a bare hash", edit("hmac-sha256$1$", ""), "it is malformed"},
		{"B01 a digest of nothing", edit("hmac-sha256$1$oBOb", "hmac-sha256$1$"), "it is malformed"},
		{"an imported secret, which could not log in here", edit(`"generated":true,`, ``), "APIKeys.Imported) is false"},
		{"an imported digest, which could not log in here", edit("hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q", ory256), "APIKeys.Imported) is false"},
		{"too long", edit(`"name":"ci"`, `"name":"`+strings.Repeat("c", backup.MaxLine)+`"`), "longer than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			// Between two valid lines, so that the test shows that a refused line does
			// not affect others.
			done, err := r.read("\n" + aLine("before") + "\n" + tc.line + "\n \n" + aLine("after"))
			require.NoError(t, err)
			if tc.says == "" {
				require.Equal(t, backup.Restored{Keys: 3}, done)
				return
			}
			require.Equal(t, 2, done.Keys)
			require.Equal(t, 1, done.Refused)
			require.Equal(t, 3, done.Problems[0].Line)
			require.ErrorAs(t, done.Problems[0].Err, new(*apikey.InvalidError))
			require.Contains(t, done.Problems[0].Err.Error(), tc.says)
			require.Less(t, len(done.Problems[0].Err.Error()), 1000, "a report of many lines has its bounds")
			var shown harness.Recorder
			shown.Keep("oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q")
			shown.Show(done)
			shown.Search(t)
			require.NotContains(t, done.Problems[0].Err.Error(), "oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q", "B11")
			page, err := r.List(t.Context(), admin, store.KeyQuery{})
			require.NoError(t, err)
			require.Len(t, page.Keys, 2, "nothing of a refused line is kept")
		})
	}
}

// TestProblemNamesTheKey: a report shows an id only if a key can have such an id.
func TestProblemNamesTheKey(t *testing.T) {
	for _, tc := range []struct{ name, old, now, want string }{
		{"an empty name", `"name":"ci"`, `"name":""`, "k"},
		{"a malformed permission", `["project.list"]`, `["project list"]`, "k"},
		{"B15 an id with a line break", `"id":"k"`, `"id":"k\r\nX"`, ""},
		{"B15 an id with a right-to-left override", `"id":"k"`, `"id":"\u202ek"`, ""},
		{"B15 an id with a line break, and a malformed permission", `"id":"k","workspace":"team-a","name":"ci","permissions":["`, `"id":"k\n","workspace":"team-a","name":"ci","permissions":[" `, ""},
		{"an id too long", `"id":"k"`, `"id":"` + strings.Repeat("k", 256) + `"`, ""},
		{"another format", `"format":1`, `"format":2`, ""},
		{"not JSON", `{"format"`, `"format"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Contains(t, aLine("k"), tc.old)
			done, err := newRig(t).read(strings.Replace(aLine("k"), tc.old, tc.now, 1))
			require.NoError(t, err)
			require.Len(t, done.Problems, 1)
			require.Equal(t, tc.want, done.Problems[0].ID)
		})
	}
}

func TestRestoreTaken(t *testing.T) {
	r := newRig(t)
	live, secret := r.create(owner, "team-a", "project.list")
	deleted, lost := r.create(owner, "team-a", "project.list")
	inDeleted, _ := r.create(admin, "team-x", "project.list")
	lines := r.export()
	require.NoError(t, r.Delete(t.Context(), owner, deleted.ID, 0))
	require.NoError(t, r.DeleteWorkspace(t.Context(), admin, "team-x"))
	_, err := r.Update(t.Context(), owner, live.ID, apikey.Changes{Name: ptr("renamed")})
	require.NoError(t, err)

	done, err := r.read(lines)
	require.NoError(t, err)
	require.Equal(t, 0, done.Keys)
	require.Equal(t, 3, done.Refused)
	want := map[string]error{live.ID: store.ErrExists, deleted.ID: store.ErrExists, inDeleted.ID: store.ErrNotFound}
	for _, problem := range done.Problems {
		require.ErrorIs(t, problem.Err, want[problem.ID])
	}
	key, err := r.Get(t.Context(), owner, live.ID)
	require.NoError(t, err)
	require.Equal(t, "renamed", key.Name, "not overwritten")
	r.mustLogin(live.ID, secret)
	_, err = r.login(deleted.ID, lost.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	require.Empty(t, r.events(audit.Restore))
}

// TestRestoreTakenSecret: a line whose secret another key has is refused, and the lines
// after it are restored.
func TestRestoreTakenSecret(t *testing.T) {
	r := newRig(t)
	line := func(id, secret string) string {
		return strings.Replace(aLine(id), `"id":"s-`+id+`"`, `"id":"`+secret+`"`, 1) + "\n"
	}
	done, err := r.read(line("one", "same") + line("two", "same") + line("three", "another"))
	require.NoError(t, err)
	require.Equal(t, 2, done.Keys)
	require.Len(t, done.Problems, 1)
	require.Equal(t, "two", done.Problems[0].ID)
	require.ErrorIs(t, done.Problems[0].Err, store.ErrCredentialExists)
	require.ErrorContains(t, done.Problems[0].Err, "another key has a credential with this id")
	_, err = r.Get(t.Context(), admin, "two")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestRestoreImportedSHA256 tests that a key that was imported with a SHA-256 and not yet
// used is exported and restored, where imports are accepted.
func TestRestoreImportedSHA256(t *testing.T) {
	const secret = "tq_5hVbW9mXz3Kd8RfPy2Nc7"
	here := newRig(t, portable)
	_, err := here.Import(t.Context(), admin, apikey.ImportSpec{
		Spec: apikey.Spec{Workspace: "team-a", Name: "home-made"}, ID: "home-1", Generated: true,
		SHA256: "F9VjETM6HsbqAsPYtxTreyEfS4/V/zm2feNFFGHxUmc=",
	})
	require.NoError(t, err)
	lines := here.export()
	require.Contains(t, lines, `"digest":"sha256-import$F9VjETM6HsbqAsPYtxTreyEfS4_V_zm2feNFFGHxUmc"`)
	there := newRig(t, portable)
	there.restore(lines)
	require.Equal(t, lines, there.export())
	for _, r := range []*rig{here, there} {
		_, err := r.login("home-1", secret)
		require.NoError(t, err)
		require.Contains(t, r.export(), `"digest":"hmac-sha256$1$`, "replaced at the first use")
	}
	done, err := newRig(t).read(lines)
	require.NoError(t, err)
	require.ErrorContains(t, done.Problems[0].Err, "APIKeys.Imported) is false")
	broken := strings.Replace(lines, "$F9Vj", "$F9V", 1)
	done, err = newRig(t, portable).read(broken)
	require.NoError(t, err)
	require.ErrorContains(t, done.Problems[0].Err, "it is malformed")
}

func TestRestoreIntoDeletedWorkspace(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.DeleteWorkspace(t.Context(), admin, "team-a"))
	done, err := r.read(aLine("k"))
	require.NoError(t, err)
	require.ErrorIs(t, done.Problems[0].Err, store.ErrNotFound)
	require.ErrorContains(t, done.Problems[0].Err, "workspace")
	_, err = r.store.Epochs.Read(t.Context(), store.TokenRef{Workspace: "team-a", Key: "k"})
	require.ErrorIs(t, err, store.ErrNotFound, "B22 nothing is left of it")
}

func TestRestoreImportedDigests(t *testing.T) {
	r := newRig(t, portable)
	own := "hmac-sha256$1$oBObI3Ug2qYeIQyIswqkjThA4Hz257YTnrei7FaGL3Q"
	for digest, says := range map[string]string{
		ory256: "", bcryptOf("s"): "",
		"$2a$31$" + bcryptOf("s")[7:]:                   "bcrypt cost is 31",
		strings.Replace(ory256, "100000", "2000000", 1): "parameter i must be",
		"$argon2id$":                       "malformed argon2id",
		"5f4dcc3b5aa765d61d8327deb882cf99": "malformed",
	} {
		done, err := r.read(strings.Replace(aLine(fmt.Sprint("k", len(digest), digest[1:3])), own, digest, 1))
		require.NoError(t, err)
		if says == "" {
			require.Equal(t, 1, done.Keys)
			continue
		}
		require.Equal(t, 1, done.Refused, "B01")
		require.ErrorContains(t, done.Problems[0].Err, says)
	}
}

func TestRestoreEvents(t *testing.T) {
	r := newRig(t)
	r.restore(aLine("one") + "\n" + aLine("two") + "\n")
	events := r.events(audit.Restore)
	require.Len(t, events, 2)
	require.ElementsMatch(t, []string{"one", "two"}, []string{events[0].Key, events[1].Key})
	require.Equal(t, "team-a", events[0].Workspace)
	require.Equal(t, admin.Ref(), events[0].Actor)
}

// TestRestoreLeakEvent tests that the event of a leak, whose note has a long URL, comes back.
func TestRestoreLeakEvent(t *testing.T) {
	r := newRig(t)
	_, leaked := r.create(owner, "team-a", "project.list")
	_, err := r.ReportLeak(t.Context(), leaked.Reveal(), apikey.Leak{Scanner: "api.github.com", URL: "https://github.com/" + strings.Repeat("x", 2000)})
	require.NoError(t, err)
	there := newRig(t)
	done, err := there.read(r.exportAll())
	require.NoError(t, err)
	require.Empty(t, done.Problems)
	require.Equal(t, r.events(audit.Leak), there.events(audit.Leak))
}

func TestRestoreAuthority(t *testing.T) {
	r := newRig(t)
	done, err := backup.Restore(t.Context(), r.Service, admin.Granting(perms("project.save")), strings.NewReader(aLine("k")))
	require.NoError(t, err)
	require.Equal(t, 1, done.Refused)
	require.ErrorAs(t, done.Problems[0].Err, new(*apikey.ForbiddenError))
	done, err = backup.Restore(t.Context(), r.Service, admin.Granting(perms("project.list")), strings.NewReader(aLine("k")))
	require.NoError(t, err)
	require.Equal(t, 1, done.Keys)
}

// A token from before the restore is not valid for a restored key, whether it was
// revoked or not.
func TestRestoreRevokesTokens(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, r *rig, id string)
	}{
		{"B30 nothing revoked it", func(*testing.T, *rig, string) {}},
		{"B22 the key's epoch", func(t *testing.T, r *rig, id string) {
			require.NoError(t, errOf(r.Disable(t.Context(), owner, id, 0)))
			require.NoError(t, errOf(r.Enable(t.Context(), owner, id, 0)))
		}},
		{"B22 the workspace's epoch", func(t *testing.T, r *rig, _ string) {
			require.NoError(t, r.SetSuspended(t.Context(), admin, "team-a", true))
			require.NoError(t, r.SetSuspended(t.Context(), admin, "team-a", false))
		}},
		{"B22 the instance's epoch", func(t *testing.T, r *rig, _ string) {
			for _, off := range []bool{true, false} {
				settings, err := r.Settings(t.Context(), admin)
				require.NoError(t, err)
				settings.KeysOff = off
				require.NoError(t, errOf(r.SaveSettings(t.Context(), admin, settings)))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			key, secret := r.create(owner, "team-a", "project.list")
			token := r.mustLogin(key.ID, secret)
			tc.end(t, r, key.ID)
			later := r.mustLogin(key.ID, secret)
			there := newRig(t)
			there.restore(r.export())
			require.True(t, there.revoked(token))
			require.True(t, there.revoked(later))
			fresh := there.mustLogin(key.ID, secret)
			require.False(t, there.revoked(fresh))
			require.NoError(t, there.SetSuspended(t.Context(), admin, "team-a", true))
			require.True(t, there.revoked(fresh), "later changes still revoke tokens")
		})
	}
	t.Run("B22 the tokens of an existing id stay valid", func(t *testing.T) {
		r := newRig(t)
		key, secret := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, secret)
		done, err := r.read(r.export())
		require.NoError(t, err)
		require.Equal(t, 1, done.Refused)
		require.False(t, r.revoked(token))
	})
	t.Run("a line with an existing id suspends no workspace", func(t *testing.T) {
		r := newRig(t)
		r.create(owner, "team-a", "project.list")
		lines := strings.Replace(r.export(), `"format":1,`, `"format":1,"suspended":true,`, 1)
		done, err := r.read(lines)
		require.NoError(t, err)
		require.ErrorIs(t, done.Problems[0].Err, store.ErrExists)
		w, _, err := r.Workspace(t.Context(), admin, "team-a")
		require.NoError(t, err)
		require.False(t, w.Suspended)
	})
}

// failingReader returns some lines and then an error.
type failingReader struct{ text io.Reader }

func (r failingReader) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("cable cut")
	}
	return n, err
}

func TestRestoreCutOff(t *testing.T) {
	var lines strings.Builder
	for i := range 5 {
		lines.WriteString(aLine(fmt.Sprint("key-", i)) + "\n")
	}
	t.Run("B19 by the store, and run again", func(t *testing.T) {
		left := 3
		r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
			if left == 0 {
				return errDown
			}
			left--
			return nil
		}, "Keys.Create"))
		done, err := r.read(lines.String())
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "line 4")
		require.Equal(t, backup.Restored{Keys: 3}, done)
		left = 10
		done, err = r.read(lines.String())
		require.NoError(t, err)
		require.Equal(t, 2, done.Keys)
		require.Equal(t, 3, done.Refused)
	})
	t.Run("by the reader", func(t *testing.T) {
		r := newRig(t)
		done, err := backup.Restore(t.Context(), r.Service, admin, failingReader{strings.NewReader(lines.String())})
		require.ErrorContains(t, err, "line 6: cable cut")
		require.Equal(t, 5, done.Keys)
	})
	t.Run("by the caller", func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		done, err := backup.Restore(ctx, r.Service, admin, strings.NewReader("nonsense\n"))
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, done)
	})
	t.Run("the report of a file of only malformed lines is bounded", func(t *testing.T) {
		r := newRig(t)
		done, err := r.read(strings.Repeat("x\n", 3000))
		require.NoError(t, err)
		require.Equal(t, 3000, done.Refused)
		require.Len(t, done.Problems, backup.MaxProblems)
	})
}

// FuzzRestore: each line that is not blank becomes either a key or a problem. Exporting
// the keys and restoring them again yields the same keys.
func FuzzRestore(f *testing.F) {
	f.Add(aLine("k"))
	f.Add(aLine("a") + "\r\n\n" + aLine("b") + "\n" + aLine("a"))
	f.Add(strings.Replace(aLine("k"), `"depth":3`, `"depth":1,"resources":["https://a"],"disabled":true`, 1))
	f.Add(strings.Replace(aLine("k"), `2026-07-01T10:00:00Z`, `9999-12-31T23:59:59.999999999-23:59`, 2))
	f.Add("{\"id\":\"\\ud800\"}\n\x00\n[]\nnull\n")
	f.Fuzz(func(t *testing.T, text string) {
		open := func() *apikey.Service {
			s, err := apikey.New(memstore.New(), apikey.Config{
				Permissions: scope.MustCatalog(), Logger: slog.New(slog.DiscardHandler),
				Options: apikey.Options{Peppers: []apikey.Pepper{harness.Pepper()}, Imported: true},
			})
			require.NoError(t, err)
			return s
		}
		first, second := open(), open()
		done, err := backup.Restore(t.Context(), first, admin, strings.NewReader(text))
		require.NoError(t, err)
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			if len(strings.TrimSpace(line)) > 0 {
				lines++
			}
		}
		require.Equal(t, lines, done.Keys+done.Refused)
		var one, two strings.Builder
		require.NoError(t, backup.Export(t.Context(), first, admin, &one))
		require.Equal(t, done.Keys, strings.Count(keyLines(one.String()), "\n"))
		again, err := backup.Restore(t.Context(), second, admin, strings.NewReader(keyLines(one.String())))
		require.NoError(t, err)
		require.Equal(t, backup.Restored{Keys: done.Keys}, again)
		require.NoError(t, backup.Export(t.Context(), second, admin, &two))
		require.Equal(t, keyLines(one.String()), keyLines(two.String()))
	})
}
