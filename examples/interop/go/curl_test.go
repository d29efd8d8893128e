package interop_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

const curl = peer("curl")

func TestCurl(t *testing.T) {
	f := start(t, "ES256")
	styles := []struct {
		name string
		args func(secret string) []string
	}{
		{"-u (Basic)", func(secret string) []string {
			return []string{"-u", f.ClientID + ":" + secret, "-d", "grant_type=client_credentials"}
		}},
		{"-d (form)", func(secret string) []string {
			return []string{"-d", "grant_type=client_credentials", "-d", "client_id=" + f.ClientID, "--data-urlencode", "client_secret=" + secret}
		}},
		{"JSON", func(secret string) []string {
			return []string{"-H", "Content-Type: application/json", "-d", `{"clientId":"` + f.ClientID + `","clientSecret":"` + secret + `"}`}
		}},
	}
	for _, style := range styles {
		curl.shows(t, style.name, func(t *testing.T) {
			status, body := run(t, append(style.args(f.ClientSecret), f.TokenURL)...)
			require.Equal(t, http.StatusOK, status, body)
			var answer struct {
				Token   string `json:"access_token"`
				Type    string `json:"token_type"`
				Expires int    `json:"expires_in"`
				Scope   string `json:"scope"`
			}
			require.NoError(t, json.Unmarshal([]byte(body), &answer))
			require.Equal(t, "Bearer", answer.Type)
			require.Equal(t, 300, answer.Expires)
			require.Equal(t, "project.list project.read", answer.Scope)
			opensOwnRoutesOnly(t, f, answer.Token)
		})
		t.Run(style.name, func(t *testing.T) {
			curl.refuses(t, "wrong secret", func(t *testing.T) {
				status, body := run(t, append(style.args(f.WrongSecret), f.TokenURL)...)
				require.Equal(t, http.StatusUnauthorized, status)
				require.Contains(t, body, `"error":"invalid_client"`)
			})
		})
	}
	for _, bad := range []struct{ wrong, token string }{
		{"expired", f.Tokens.Expired}, {"wrong audience", f.Tokens.WrongAudience},
		{"other key", f.Tokens.OtherKey}, {"ended", f.Tokens.Ended},
	} {
		curl.refuses(t, bad.wrong+" (by Latchkey's guard)", func(t *testing.T) {
			status, _ := run(t, "--oauth2-bearer", bad.token, f.ProtectedURL)
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

// opensOwnRoutesOnly checks which routes the token opens: no route of another permission or
// workspace.
func opensOwnRoutesOnly(t *testing.T, f testserver.Facts, token string) {
	t.Helper()
	for url, want := range map[string]int{
		f.ProtectedURL: http.StatusOK,
		f.ForbiddenURL: http.StatusForbidden,
		f.ForeignURL:   http.StatusNotFound,
	} {
		status, body := run(t, "--oauth2-bearer", token, url)
		require.Equal(t, want, status, "%s: %s", url, body)
	}
}

// run returns the status and the body that curl got. It ignores the user's curl
// configuration and proxies.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	args = append([]string{"-q", "-s", "-S", "--noproxy", "*", "-w", "\n%{http_code}"}, args...)
	out, err := exec.CommandContext(limited(t), "curl", args...).Output()
	require.NoError(t, err)
	cut := strings.LastIndexByte(string(out), '\n')
	status, err := strconv.Atoi(string(out[cut+1:]))
	require.NoError(t, err)
	return status, string(out[:cut])
}
