package apikey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// exportedStructs lists the exported structs from the source, so that none is
// missing.
func exportedStructs(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok && typ.Name.IsExported() {
					if _, ok := typ.Type.(*ast.StructType); ok || typ.Assign.IsValid() {
						names = append(names, typ.Name.Name)
					}
				}
			}
		}
	}
	return names
}

// TestNothingPrintsASecret prints every exported struct, with a secret in every
// possible place, alone and inside of others.
func TestNothingPrintsASecret(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) { c.Imported = true })
	key, secret := r.create(owner, "team-a", "project.list")
	plain := secret.Reveal()
	credentials := apikey.Credentials{ID: key.ID, Secret: plain, Address: addrA}
	login, err := r.Authenticate(t.Context(), credentials)
	require.NoError(t, err)
	grant, err := r.Issue(t.Context(), login, apikey.Request{})
	require.NoError(t, err)
	importing := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "n"}, ID: "i", Secret: plain}
	byDigest := apikey.ImportSpec{ID: "i", Digest: bcryptOf(t, "canary in bcrypt")}
	bySHA256 := apikey.ImportSpec{ID: "i", SHA256: sha256Hex("canary in SHA-256"), Generated: true}
	_, parseErr := apikey.ParseSecret("", plain+"x")
	require.NotContains(t, parseErr.Error(), plain)
	_, importErr := r.Import(t.Context(), owner, apikey.ImportSpec{Spec: importing.Spec, ID: "i", Digest: plain})
	_, _, denied := r.tryCreate(owner, "team-a", "admin.project.list")
	cfg := apikey.Config{Permissions: catalog, Options: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: []byte(plain)}}}}
	peppered, err := apikey.New(memstore.New(), cfg)
	require.NoError(t, err)
	effects, err := r.PreviewSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, nil, 0)
	require.NoError(t, err)
	page, err := r.List(t.Context(), admin, store.KeyQuery{})
	require.NoError(t, err)
	older := rigOn(t, r.store, lists{peppers(pepper3, pepper1), nil, nil}.in)
	outdated, err := older.Outdated(t.Context(), admin, nil, 0)
	require.NoError(t, err)
	require.Len(t, outdated.Keys, 1)
	values := map[string]any{
		"Page": []any{page, outdated, effects}, "Key": key,
		"KeyPreview": apikey.KeyPreview{Key: key},
		"Actor":      owner, "Budgets": apikey.Budgets{}, "Changes": apikey.Changes{}, "Config": cfg, "Options": cfg.Options,
		"Credentials": []any{credentials, apikey.Credentials{Assertion: plain}}, "CredentialSpec": aPublicKey("laptop"), "DirectUse": apikey.DirectUse{SecretID: key.Credentials[0].ID}, "Expiry": apikey.Expiry{At: noon},
		"FieldProblem": apikey.FieldProblem{Field: "f"}, "ForbiddenError": denied, "Grant": grant,
		"ImportSpec":   []any{importing, byDigest, bySHA256, &importing, &bySHA256},
		"Leak":         apikey.Leak{Key: key.ID},
		"InvalidError": importErr, "Proof": login, "Management": management,
		"Decision": observe.Decision{KeyID: key.ID}, "Pepper": cfg.Peppers[0],
		"RefusedError": &apikey.RefusedError{Reason: "r", Missing: perms("project.list")}, "Request": apikey.Request{}, "Resource": apikey.Resource{}, "Rights": apikey.Rights{Name: "ci"}, "Rotation": apikey.Rotation{},
		"Secret":  secret,
		"Service": []any{r.Service, peppered}, "Spec": importing.Spec, "ThrottledError": &apikey.ThrottledError{},
	}
	found, err := r.store.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	for _, name := range exportedStructs(t) {
		t.Run("B11 "+name, func(t *testing.T) {
			value, ok := values[name]
			require.True(t, ok, "a new struct: add one that holds a secret, if it can")
			var out strings.Builder
			for _, v := range []any{value, &value, []any{value}, map[string]any{"v": value}, struct{ V any }{value}} {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
					fmt.Fprintf(&out, verb+"\n", v)
				}
				if text, err := json.Marshal(v); err == nil {
					out.Write(text)
				}
				for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
					slog.New(h).Info("x", "v", v)
					if list, ok := value.([]any); ok {
						slog.New(h).Info("x", "first", list[0]) // its own LogValue
					}
				}
			}
			harness.SearchFor(t, out.String(), plain, "canary in bcrypt", byDigest.Digest[10:], bySHA256.SHA256)
			if name != "Config" {
				require.NotContains(t, out.String(), found.Key.Credentials[0].Digest, "a digest")
			}
		})
	}
	t.Run("credentials still show what may be shown", func(t *testing.T) {
		require.Contains(t, fmt.Sprintf("%+v", credentials), key.ID)
		require.Contains(t, fmt.Sprintf("%+v", credentials), "Secret:(redacted)")
		text, err := json.Marshal(importing)
		require.NoError(t, err)
		require.Contains(t, string(text), `"Workspace":"team-a"`)
		require.Contains(t, string(text), `"Digest":""`)
	})
}

// TestErrorsRepeatNoSecret tests that the given credentials are not in an error, an
// event or the log.
func TestErrorsRepeatNoSecret(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) {
		c.Imported = true
		c.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			return fmt.Errorf("no: %+v %+v", r, r.Key)
		})
	})
	key, secret := r.create(owner, "team-a", "project.list")
	for _, presented := range []string{secret.Reveal(), secret.Reveal() + "x", secret.Reveal()[:40], "an imported secret in clear"} {
		r.keep(presented)
		for _, id := range []string{key.ID, "no-such-key", presented} {
			_, err := r.login(id, presented)
			require.Error(t, err)
			_, err = r.Get(t.Context(), admin, presented)
			require.ErrorIs(t, r.note(err), store.ErrNotFound)
			_, err = r.Retire(t.Context(), admin, key.ID, presented, 0)
			require.ErrorIs(t, r.note(err), store.ErrNotFound)
		}
	}
	require.NoError(t, r.Flush(t.Context()))
	require.NotEmpty(t, r.events(store.EventQuery{Action: audit.Refuse}))
}

// TestDumpFindsSecrets tests that the search at the end of every test with a rig
// finds secrets.
func TestDumpFindsSecrets(t *testing.T) {
	found := &finder{TB: t}
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	memory := func() string { return strings.Join(harness.Dump(r.store), "\n") }
	harness.SearchFor(found, memory(), secret.Reveal())
	require.Zero(t, found.errors)
	require.Contains(t, memory(), key.ID)
	planted := "lk_planted" + key.ID
	require.NoError(t, r.store.Events.Append(t.Context(), store.Event{ID: "leak", Time: noon, Note: planted}))
	harness.SearchFor(found, memory(), planted)
	require.Positive(t, found.errors, "B11")
}

// finder counts what a search finds.
type finder struct {
	testing.TB
	errors int
}

func (f *finder) Errorf(string, ...any) { f.errors++ }
