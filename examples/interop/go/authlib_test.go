package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

const authlib = peer("Authlib")

// authlibLogin holds the settings of a login by ../py/login.py.
type authlibLogin struct {
	ClientID  string `json:"client_id"`
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
	TokenURL  string `json:"token_url"`
	Audience  string `json:"audience"`
	TokenID   string `json:"jti"` // if empty, Authlib makes one
}

type authlibAnswer struct {
	Token string `json:"access_token"`
	Error string `json:"error"`
}

// TestAuthlib logs in as Authlib does unless it is configured otherwise: the audience is the
// URL of the token endpoint, and the assertion is valid for an hour.
func TestAuthlib(t *testing.T) {
	if os.Getenv("LATCHKEY_PYTHON") == "" {
		t.Skip("LATCHKEY_PYTHON is not set; examples/interop/run sets it")
	}
	_, f := startSigning(t)
	signing := f.Signing
	// logins logs in once with each algorithm.
	logins := func(t *testing.T, change func(*authlibLogin)) []authlibAnswer {
		t.Helper()
		var all []authlibLogin
		for _, algorithm := range testserver.Algorithms() {
			l := authlibLogin{signing.LenientID, signing.Keys[algorithm], algorithm, f.TokenURL, f.TokenURL, ""}
			change(&l)
			all = append(all, l)
		}
		return byAuthlib(t, all)
	}
	granted := func(t *testing.T, answers []authlibAnswer) {
		t.Helper()
		for i, answer := range answers {
			require.Empty(t, answer.Error, testserver.Algorithms()[i])
			opensOwnRoutesOnly(t, f, answer.Token)
		}
	}
	authlib.shows(t, "PrivateKeyJWT, for a PublicKey with EndpointAudience and LongAssertions: "+strings.Join(testserver.Algorithms(), ", "), func(t *testing.T) {
		granted(t, logins(t, func(*authlibLogin) {}))
	})
	authlib.shows(t, "PrivateKeyJWT with the issuer as the audience, for a PublicKey with LongAssertions", func(t *testing.T) {
		granted(t, logins(t, func(l *authlibLogin) { l.ClientID, l.Audience = signing.LifeID, f.Issuer }))
	})
	again := func(l *authlibLogin) { l.TokenID = "the same for " + l.Algorithm }
	for _, c := range []struct {
		what   string
		change func(*authlibLogin)
	}{
		{"the same for a PublicKey without EndpointAudience", func(l *authlibLogin) { l.ClientID = signing.LifeID }},
		{"the same for a PublicKey without LongAssertions", func(l *authlibLogin) { l.ClientID = signing.AudienceID }},
		{"wrong key", func(l *authlibLogin) { l.Key = signing.WrongKeys[l.Algorithm] }},
		{"assertion sent before", again},
		{"wrong audience", func(l *authlibLogin) { l.Audience = f.Issuer + "/other" }},
		{"wrong client id", func(l *authlibLogin) { l.ClientID = f.ClientID }},
	} {
		authlib.refuses(t, c.what, func(t *testing.T) {
			if c.what == "assertion sent before" {
				granted(t, logins(t, again))
			}
			for _, answer := range logins(t, c.change) {
				require.Equal(t, authlibAnswer{Error: "invalid_client"}, answer)
			}
		})
	}
}

func byAuthlib(t *testing.T, logins []authlibLogin) []authlibAnswer {
	t.Helper()
	settings, err := json.Marshal(logins)
	require.NoError(t, err)
	command := exec.CommandContext(limited(t), os.Getenv("LATCHKEY_PYTHON"), "../py/login.py")      //nolint:gosec // the run script names it
	command.Env = append(os.Environ(), "AUTHLIB_INSECURE_TRANSPORT=1", "PYTHONDONTWRITEBYTECODE=1") // the server speaks http
	var problems bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(settings), &problems
	out, err := command.Output()
	require.NoError(t, err, problems.String())
	var answers []authlibAnswer
	require.NoError(t, json.Unmarshal(out, &answers))
	require.Len(t, answers, len(logins))
	return answers
}
