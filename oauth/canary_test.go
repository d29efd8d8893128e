package oauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// forms are the encodings in which a secret may be in a text.
func forms(secret string) []string {
	return []string{
		secret, hex.EncodeToString([]byte(secret)), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="),
		fmt.Sprint([]byte(secret)), url.QueryEscape(secret),
	}
}

// TestNoSecretGetsOut tests B11: it sends every kind of request with canary
// secrets, at debug level, and searches all output for them.
func TestNoSecretGetsOut(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	var verdict, hookErr error
	var out strings.Builder
	w := newWorld(t, func(s *setup) {
		s.store = st
		s.config.APIKeys.Imported = true
		s.config.Observer = func(_ context.Context, d observe.Decision) { fmt.Fprintf(&out, "%+v\n", d) }
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return verdict })
		s.config.Claims = func(context.Context, *apikey.Grant) (map[string]any, error) { return nil, hookErr }
	})
	id, secret := w.key.ID, w.secret
	wrong := typo(secret)
	const imported = "canary-imported-secret-0123456789abcdef"
	var tokens []string
	note := func(a answer) {
		if token := a.Token(); token != "" {
			tokens = append(tokens, token)
			a.Body = strings.ReplaceAll(a.Body, token, "")
		}
		fmt.Fprintln(&out, a.StatusCode, a.Header, a.Body)
	}
	each := func(secret string) {
		q := url.QueryEscape(secret)
		note(w.post(cc, basic(id, secret)...))
		note(w.post(cc+"&client_id="+id+"&client_secret="+q, "X-Request-ID", secret))
		note(w.postJSON(`{"clientId":"` + id + `","clientSecret":"` + secret + `"}`))
		note(w.postJSON(`{"clientId":"` + id + `","CLIENTSECRET":"` + secret + `"}`))
		note(w.postJSON(`{"clientId":"` + id + `","clientSecret":["` + secret + `"]}`))
		note(w.postJSON(`{"` + secret + `":1,"` + secret + `":2}`))
		note(w.post(cc + "&" + q + "=1&" + q + "=2"))
		note(w.post(cc+"&scope="+q, basic(id, secret)...))
		note(w.post("grant_type="+q, basic(id, secret)...))
		note(w.post(cc, basic(secret, secret)...))
		note(w.post(cc, "Authorization", "Bearer "+secret))
		note(w.post(cc, "Authorization", "Basic "+secret))
		note(w.send(http.MethodPost, "/api/login?client_secret="+q, "", "Content-Type", form))
		note(w.send(http.MethodGet, "/api/login?"+q, ""))
		note(w.send(http.MethodPost, "/api/login", secret, "Content-Type", secret[:3]))
		note(w.send(http.MethodGet, "/any?access_token="+q, "", "Authorization", "Bearer "+secret))
		note(w.send(http.MethodGet, "/.well-known/jwks.json?"+q, "", "If-None-Match", secret))
	}
	_, err := w.APIKeys().Import(t.Context(), admin, apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "old", Secret: imported})
	require.NoError(t, err)
	each(secret)
	each(wrong)
	each(imported)
	note(w.post(cc, basic("old", imported)...))
	for _, err := range []error{store.ErrUnavailable, errors.New("broken"), context.DeadlineExceeded} {
		tapped.Before(func(context.Context, string) error { return err })
		each(secret)
		each(imported)
		tapped.Before(nil)
	}
	verdict = &policy.Denied{Rule: "no"}
	each(secret)
	verdict, hookErr = nil, errors.New("hook")
	each(secret)
	hookErr = nil
	_, rotated, err := w.APIKeys().Rotate(t.Context(), admin, id, apikey.Rotation{})
	require.NoError(t, err)
	each(secret)
	each(rotated.Reveal())
	require.NoError(t, w.APIKeys().Flush(t.Context()))
	events, err := w.APIKeys().Events(t.Context(), admin, store.EventQuery{Limit: 1000})
	require.NoError(t, err)
	fmt.Fprintf(&out, "%+v", events)
	listed, err := w.APIKeys().List(t.Context(), admin, store.KeyQuery{})
	require.NoError(t, err)
	text, err := json.Marshal(listed)
	require.NoError(t, err)
	out.Write(text)
	require.NotEmpty(t, tokens)

	t.Run("B11 no secret in an answer, an event, a list or the log", func(t *testing.T) {
		all := out.String() + w.log.String()
		for _, canary := range []string{secret, wrong, imported, rotated.Reveal()} {
			for _, form := range forms(canary) {
				require.NotContains(t, all, form)
			}
		}
	})
	t.Run("B10 no token in them, and none in a URL", func(t *testing.T) {
		all := out.String() + w.log.String()
		for _, token := range tokens {
			require.NotContains(t, all, token)
			require.NotContains(t, all, token[strings.LastIndexByte(token, '.'):], "its signature")
		}
		require.Equal(t, http.StatusUnauthorized, w.at(t).send(http.MethodGet, "/any?access_token="+tokens[len(tokens)-1], "").StatusCode)
	})
	t.Run("B11 the tokens hold no secret", func(t *testing.T) {
		for _, token := range tokens {
			require.NotContains(t, fmt.Sprint(harness.Claims(t, token)), secret)
		}
	})
}

// TestNoDirectSecretGetsOut tests B32: a secret in place of a token reaches no output,
// in any form, refused or accepted.
func TestNoDirectSecretGetsOut(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	var verdict error
	var out strings.Builder
	w := newWorld(t, allForms, func(s *setup) {
		s.store = st
		s.config.APIKeys.Imported = true
		s.config.Observer = func(_ context.Context, d observe.Decision) { fmt.Fprintf(&out, "%+v\n", d) }
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return verdict })
	})
	key, secret := w.newDirect("team-a", "project.list")
	const imported = "canary-imported-secret.0123456789abcdef"
	each := func(secret string) {
		for _, headers := range [][]string{
			{"Authorization", "Bearer " + secret}, {"X-API-Key", secret}, basic(key.ID, secret), basic(secret, secret), basic("", secret),
			{"Authorization", "Basic " + secret}, {"Authorization", secret}, {"Authorization", "Bearer " + secret + " " + secret},
			{"X-API-Key", secret, "X-API-Key", secret}, {"X-API-Key", secret, "Authorization", "Bearer " + secret},
			append(basic(key.ID, secret), "Origin", secret), {"Cookie", "x=" + secret},
		} {
			for _, target := range []string{projectsOfA, "/workspaces/team-b/projects", "/tokens/team-a", projectsOfA + "?access_token=" + url.QueryEscape(secret)} {
				a := w.directly(target, headers...)
				fmt.Fprintln(&out, a.StatusCode, a.Header, a.Body)
			}
		}
		p, err := w.Verifier().AuthorizeAny(t.Context(), secret, w.Require().OrSecret())
		fmt.Fprintf(&out, "%+v %#v %v\n", p, p, err)
	}
	for _, canary := range []string{secret, typo(secret), imported} {
		each(canary)
		for _, err := range []error{store.ErrUnavailable, errors.New("broken"), context.DeadlineExceeded} {
			tapped.Before(func(context.Context, string) error { return err })
			each(canary)
			tapped.Before(nil)
		}
		for _, verdict = range []error{&policy.Denied{Rule: "no", Reason: "No."}, &policy.Denied{RetryAfter: 1}, errors.New("broken")} {
			each(canary)
		}
		verdict = nil
	}
	_, err := w.APIKeys().Disable(t.Context(), admin, key.ID, 0)
	require.NoError(t, err)
	each(secret)
	require.NoError(t, w.APIKeys().Flush(t.Context()))
	events, err := w.APIKeys().Events(t.Context(), admin, store.EventQuery{Limit: 1000})
	require.NoError(t, err)
	fmt.Fprintf(&out, "%+v", events)
	all := out.String() + w.log.String()
	for _, canary := range []string{secret, typo(secret), imported} {
		for _, form := range forms(canary) {
			require.NotContains(t, all, form, "B32")
		}
	}
	require.Contains(t, all, key.ID+" team-a true project.list", "some were accepted")
}

// TestConfigurationRedactsItself tests B11 for types that contain keys.
func TestConfigurationRedactsItself(t *testing.T) {
	t.Parallel()
	_, edKey, ecKey := testKeys()
	const hmacKey, pepper = "canary-hmac-key-0123456789abcdef", "canary-pepper-0123456789abcdef-x"
	cfg := oauth.Config{
		Issuer: "https://a.example", Permissions: catalog, Logger: quiet,
		Signers: []oauth.SigningKey{{ID: "h", Secret: []byte(hmacKey)}, {ID: "e", Key: edKey}, {ID: "c", Algorithm: "ES256", Key: ecKey}},
		APIKeys: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: []byte(pepper)}}},
	}
	w := newWorld(t, func(s *setup) { s.config.Signers, s.config.APIKeys.Peppers = cfg.Signers, cfg.APIKeys.Peppers })
	private, err := ecKey.Bytes()
	require.NoError(t, err)
	var out bytes.Buffer
	for _, value := range []any{cfg, &cfg, cfg.Signers, cfg.Signers[0], &cfg.Signers[0], w.Server, []any{w.Server}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "value", value)
		}
	}
	for _, value := range []any{cfg.Signers, cfg.Signers[0], cfg.APIKeys.Peppers, w.Server} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		out.Write(text)
	}
	for _, secret := range []string{hmacKey, pepper, string(edKey.Seed()), string(private)} {
		for _, form := range append(forms(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")) {
			require.False(t, strings.Contains(out.String(), form), "B11")
		}
	}
	require.NotContains(t, out.String(), new(big.Int).SetBytes(private).String())
	require.Contains(t, out.String(), "signing key c ES256")
	require.Contains(t, out.String(), "oauth.Server(http://127.0.0.1:")
}
