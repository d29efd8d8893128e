package interop_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const gitleaks = peer("github.com/zricethezav/gitleaks/v8")

// repository is a git repository that a test fills.
type repository struct {
	t   *testing.T
	dir string
}

func (r repository) git(args ...string) {
	r.t.Helper()
	command := exec.CommandContext(limited(r.t), "git", args...)
	command.Dir = r.dir
	// No configuration of this machine, and no user's.
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	text, err := command.CombinedOutput()
	require.NoError(r.t, err, string(text))
}

// commit writes a file and commits it. An empty text removes it.
func (r repository) commit(name, text string) {
	r.t.Helper()
	if text == "" {
		r.git("rm", "-q", name)
	} else {
		require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
		r.git("add", name)
	}
	r.git("commit", "-q", "-m", "change "+name)
}

// scan runs gitleaks over all commits and returns the secrets that rules with one of the
// ids found, sorted and each once.
func (r repository) scan(config string, rules ...string) []string {
	r.t.Helper()
	dir := r.t.TempDir()
	rule, report := filepath.Join(dir, "gitleaks.toml"), filepath.Join(dir, "report.json")
	require.NoError(r.t, os.WriteFile(rule, []byte(config), 0o600))
	text, err := exec.CommandContext(limited(r.t), os.Getenv("LATCHKEY_GITLEAKS"), "git", "--no-banner", "--exit-code=0", //nolint:gosec // the run script names it
		"--config="+rule, "--report-format=json", "--report-path="+report, r.dir).CombinedOutput()
	require.NoError(r.t, err, string(text))
	var findings []struct{ RuleID, Secret string }
	text, err = os.ReadFile(report)
	require.NoError(r.t, err)
	require.NoError(r.t, json.Unmarshal(text, &findings))
	found := []string{}
	for _, f := range findings {
		if slices.Contains(rules, f.RuleID) {
			found = append(found, f.Secret)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestGitleaks: gitleaks finds every secret in all commits with the rule of GitleaksRule,
// and nothing else.
func TestGitleaks(t *testing.T) {
	if os.Getenv("LATCHKEY_GITLEAKS") == "" {
		t.Skip("LATCHKEY_GITLEAKS is not set; examples/interop/run sets it")
	}
	const own = "acme-Prod_"
	catalog := scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}})
	var secrets []string
	for _, prefix := range []string{"lk_", own} {
		keys, err := apikey.New(memstore.New(), apikey.Config{
			Permissions: catalog, Logger: slog.New(slog.DiscardHandler), Options: apikey.Options{SecretPrefixes: []string{prefix}},
		})
		require.NoError(t, err)
		for range 60 {
			_, secret, err := keys.Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
				Workspace: "w", Name: "n", Permissions: scope.MustParse("project.list"),
			})
			require.NoError(t, err)
			secrets = append(secrets, secret.Reveal())
		}
	}
	config := apikey.GitleaksRule("") + "\n" + apikey.GitleaksRule(own)
	rules := []string{"lk_secret", own + "secret"}

	places := []func(string) string{
		func(s string) string { return "const key = \"" + s + "\"\n" },
		func(s string) string { return "LATCHKEY_SECRET=" + s + "\n" },
		func(s string) string { return `{"client_id":"x","client_secret":"` + s + `"}` },
		func(s string) string {
			return "curl 'https://api.example.com/?a=b%3D" + url.QueryEscape(s) + "%26c=d'\n"
		},
		func(s string) string { return "key: '" + s + "' # a comment\n" },
		func(s string) string { return `"text\n` + s + `\ttext"` },
		func(s string) string { return "[" + s + "](" + s + ")" },
		func(s string) string { return "Authorization: Bearer " + s }, // at the end of the file
		func(s string) string { return "<key>" + s + "</key>\r\n" },
		func(s string) string { return "export A=" + s + ";B=x\n" },
	}
	r := repository{t, t.TempDir()}
	r.git("init", "-q", ".")
	for i, secret := range secrets {
		name := "file" + string(rune('a'+i%10)) + []string{".go", ".env", ".json", ".sh", ".yaml"}[i%5]
		r.commit(name, places[i%len(places)](secret)) // most are only in an earlier commit
		if i%7 == 0 {
			r.commit(name, "")
		}
	}
	clean := repository{t, t.TempDir()}
	clean.git("init", "-q", ".")
	for i, text := range lookalikes(t, secrets) {
		clean.commit("file"+string(rune('a'+i))+".txt", text)
	}

	gitleaks.shows(t, "GitleaksRule: every secret in all commits", func(t *testing.T) {
		slices.Sort(secrets)
		there := repository{t, r.dir}
		require.Equal(t, secrets, there.scan(config, rules...))
		require.Equal(t, secrets, there.scan("[extend]\nuseDefault = true\n\n"+config, rules...), "beside its own rules")
	})
	gitleaks.refuses(t, "random text, other lengths, placeholders, other vendors' secrets", func(t *testing.T) {
		there := repository{t, clean.dir}
		require.Empty(t, there.scan(config, rules...))
		require.Empty(t, there.scan("[extend]\nuseDefault = true\n\n"+config, rules...), "beside its own rules")
		require.NotEmpty(t, there.scan("[extend]\nuseDefault = true\n", "github-pat", "aws-access-token", "generic-api-key"), "it reads the repository")
	})
}

// lookalikes returns texts that the rules must not claim.
func lookalikes(t *testing.T, secrets []string) (texts []string) {
	t.Helper()
	random := make([]byte, 3000)
	_, err := rand.Read(random)
	require.NoError(t, err)
	secret, body := secrets[0], strings.TrimPrefix(secrets[0], "lk_")
	require.NotEqual(t, secret, body)
	return []string{
		base64.StdEncoding.EncodeToString(random), base64.URLEncoding.EncodeToString(random) + "\n",
		body, secret[:len(secret)-1] + "\n", secret + "x\n", "lk-" + body, "LK_" + body, "lk_" + body[:20] + "-" + body[21:],
		"lk_" + strings.Repeat("x", 49), "lk_" + strings.Repeat("abc1234", 7), "acme-prod_" + body,
		// In the shapes of other vendors, made up here and without meaning.
		"ghp_" + body[:36] + "\n", "sk_live_" + body[:24], "xoxb-123456789012-123456789012-" + body[:24], "AKIA" + strings.ToUpper(strings.NewReplacer("0", "A", "1", "B", "8", "C", "9", "D").Replace(body[:16])),
		"api_key = \"" + body[:40] + "\"\n",
	}
}
