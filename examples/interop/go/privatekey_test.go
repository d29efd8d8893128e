package interop_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth/assertion"
)

// TestXOAuth2WithKey tests golang.org/x/oauth2 with package oauth/assertion.
func TestXOAuth2WithKey(t *testing.T) {
	_, f := startSigning(t)
	algorithms := []string{"ES256", "RS256", "EdDSA"}
	signed := func(t *testing.T, keys map[string]string, algorithm, id, audience string) func(context.Context) (string, error) {
		t.Helper()
		block, _ := pem.Decode([]byte(keys[algorithm]))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		return assertion.Signed(key.(crypto.Signer), f.Signing.KeyIDs[algorithm], id, audience)
	}
	id, keys := f.Signing.ClientID, f.Signing.Keys
	xoauth2.shows(t, "with oauth/assertion: "+strings.Join(algorithms, ", "), func(t *testing.T) {
		for _, algorithm := range algorithms {
			source := assertion.TokenSource(limited(t), assertion.Config{TokenURL: f.TokenURL, ClientID: id, Assertion: signed(t, keys, algorithm, id, f.Issuer)})
			client := oauth2.NewClient(limited(t), source)
			for target, want := range map[string]int{f.ProtectedURL: http.StatusOK, f.ForbiddenURL: http.StatusForbidden, f.ForeignURL: http.StatusNotFound} {
				status, body := get(t, client, target)
				require.Equal(t, want, status, "%s: %s", target, body)
			}
		}
	})
	for _, c := range []struct {
		what   string
		config func(t *testing.T, algorithm string) assertion.Config
	}{
		{"wrong key", func(t *testing.T, algorithm string) assertion.Config {
			return assertion.Config{ClientID: id, Assertion: signed(t, f.Signing.WrongKeys, algorithm, id, f.Issuer)}
		}},
		{"assertion sent before", func(t *testing.T, algorithm string) assertion.Config {
			text, err := signed(t, keys, algorithm, id, f.Issuer)(t.Context())
			require.NoError(t, err)
			cfg := assertion.Config{TokenURL: f.TokenURL, ClientID: id, Assertion: func(context.Context) (string, error) { return text, nil }}
			_, err = assertion.TokenSource(limited(t), cfg).Token()
			require.NoError(t, err)
			return cfg
		}},
		{"wrong audience", func(t *testing.T, algorithm string) assertion.Config {
			return assertion.Config{ClientID: id, Assertion: signed(t, keys, algorithm, id, f.TokenURL)}
		}},
		{"wrong client id", func(t *testing.T, algorithm string) assertion.Config {
			return assertion.Config{ClientID: f.ClientID, Assertion: signed(t, keys, algorithm, id, f.Issuer)}
		}},
	} {
		xoauth2.refuses(t, c.what+" (oauth/assertion)", func(t *testing.T) {
			for _, algorithm := range algorithms {
				cfg := c.config(t, algorithm)
				cfg.TokenURL = f.TokenURL
				_, err := assertion.TokenSource(limited(t), cfg).Token()
				var problem *oauth2.RetrieveError
				require.ErrorAs(t, err, &problem)
				require.Equal(t, http.StatusUnauthorized, problem.Response.StatusCode)
				require.Equal(t, "invalid_client", problem.ErrorCode)
			}
		})
	}
}

// TestCurlWithKey runs the blocks of bash in oauth/OPERATING.md.
func TestCurlWithKey(t *testing.T) {
	handbook, err := os.ReadFile("../../../oauth/OPERATING.md")
	require.NoError(t, err)
	_, chapter, _ := strings.Cut(string(handbook), "## A script with a private key\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	blocks := strings.Split(chapter, "```bash\n")
	require.Len(t, blocks, 4)
	for i := range blocks {
		blocks[i], _, _ = strings.Cut(blocks[i], "```")
	}
	functions, newKey, login := blocks[1], blocks[2], blocks[3]

	server, f := startSigning(t)
	dir := t.TempDir()
	bash := func(t *testing.T, id, issuer string, blocks ...string) string {
		t.Helper()
		command := exec.CommandContext(limited(t), "bash", "-euo", "pipefail", "-c", strings.Join(blocks, "\n"))
		command.Dir = dir
		command.Env = append(os.Environ(), "ID="+id, "ISSUER="+issuer, "CURL_HOME="+dir, "HOME="+dir, "no_proxy=*")
		out, err := command.Output()
		require.NoError(t, err)
		return string(out)
	}
	jwk := bash(t, "", "", functions, newKey)
	id, err := server.AddSigner(t.Context(), jwk)
	require.NoError(t, err, jwk)
	curl.shows(t, "private key, signed by openssl as oauth/OPERATING.md says: RS256", func(t *testing.T) {
		for range 2 { // each has its own assertion
			var answer struct {
				Token string `json:"access_token"`
			}
			body := bash(t, id, f.Issuer, functions, login)
			require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
			opensOwnRoutesOnly(t, f, answer.Token)
		}
	})
	for _, c := range []struct {
		what, id string
		before   string // changes something after the functions
	}{
		{"wrong key", id, "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem"},
		{"assertion sent before", id, `sent=$(assertion private.pem "$ID" "$ISSUER"); assertion() { printf %s "$sent"; };` + strings.Replace(login, "curl -s", "curl -s -o /dev/null -f", 1)},
		{"wrong audience", id, `signed=$(assertion private.pem "$ID" "$ISSUER/other"); assertion() { printf %s "$signed"; }`},
		{"wrong client id", f.ClientID, ""},
	} {
		curl.refuses(t, c.what+" (private key)", func(t *testing.T) {
			key, err := os.ReadFile(dir + "/private.pem")
			require.NoError(t, err)
			body := bash(t, c.id, f.Issuer, functions, c.before, login)
			require.Contains(t, body, `"error":"invalid_client"`)
			require.NoError(t, os.WriteFile(dir+"/private.pem", key, 0o600)) //nolint:gosec // a folder of the test
		})
	}
}
