package assertion

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// life is how long a signed assertion is valid.
const life = time.Minute

// Signed returns a function that signs assertions with the program's own key, whose public
// half is a credential of the API key. The key is for ES256 (P-256), RS256 (2048 to 4096
// bits) or EdDSA (Ed25519), and may be outside the process, as in a KMS. keyID is the kid of
// the public half; if it is empty, it is the thumbprint of the key (RFC 7638), which the
// server uses for a JWK without a kid. clientID is the id of the API key. issuer is the
// issuer identifier of the server, which is the member issuer of its metadata. An assertion
// is valid for one minute and one login: the program's clock may be at most 30 seconds
// ahead of the server's, and less than a minute behind.
func Signed(key crypto.Signer, keyID, clientID, issuer string) func(context.Context) (string, error) {
	var signer *jose.Signer
	algorithm, err := jose.DefaultAlgorithm(key)
	if err == nil {
		// The type is that of RFC 10070, section 4.
		signer, err = jose.NewSignerOf("client-authentication+jwt", algorithm, keyID, key)
	}
	return func(context.Context) (string, error) {
		if err != nil {
			return "", err
		}
		now := time.Now()                         //nolint:forbidigo // the client has no clock of its own, as in golang.org/x/oauth2
		claims, _ := json.Marshal(map[string]any{ //nolint:errcheck // texts and integers always marshal
			"iss": clientID, "sub": clientID, "aud": issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(life).Unix(),
		})
		return signer.Sign(claims)
	}
}

// PublicJWK returns the JWK of a public key, to add it to the API key. Its kid is the
// thumbprint of the key, so the keyID of Signed is empty.
func PublicJWK(key crypto.PublicKey) (string, error) { return jose.PublicJWK(key) }

// File returns a function that reads the assertion from a file, such as the token of a
// service account that Kubernetes projects into a pod. It reads the file again for each
// login, because Kubernetes renews the token there.
func File(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		text, err := os.ReadFile(path) //nolint:gosec // the program names the file
		assertion := strings.TrimSpace(string(text))
		if err == nil && assertion == "" {
			err = fmt.Errorf("the file %s is empty", path)
		}
		return assertion, err
	}
}

// GitHubActions returns a function that asks GitHub for an ID token of the running job,
// which needs the permission "id-token: write". The audience is the issuer identifier of the
// server.
func GitHubActions(audience string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		token, err := idToken(ctx, audience)
		if atURL, ok := errors.AsType[*url.Error](err); ok {
			err = fmt.Errorf("request an ID token from GitHub: %w", atURL.Err) // without the URL, which is of this job only
		}
		return token, err
	}
}

func idToken(ctx context.Context, audience string) (string, error) {
	endpoint, bearer := os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if endpoint == "" || bearer == "" {
		return "", errors.New("there is no ACTIONS_ID_TOKEN_REQUEST_URL or no ACTIONS_ID_TOKEN_REQUEST_TOKEN; does the job have the permission id-token: write?")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return "", err
	}
	query := request.URL.Query()
	query.Set("audience", audience)
	request.URL.RawQuery = query.Encode()
	request.Header.Set("Authorization", "Bearer "+bearer)
	response, err := oauth2.NewClient(ctx, nil).Do(request) // the client of ctx
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // the body was read or is not needed
	var body struct {
		Value string `json:"value"`
	}
	const maxBody = 64 << 10
	err = json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&body)
	if response.StatusCode != http.StatusOK || err != nil || body.Value == "" {
		return "", fmt.Errorf("GitHub's answer has no ID token (status %d)", response.StatusCode)
	}
	return body.Value, nil
}
