// Command issuer stands for GitHub Actions, on loopback: it publishes its keys, and gives
// each of two jobs an identity for the audience that the job asks for. It prints one line
// of JSON with its URL and what the runner of each job puts into the environment.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "issuer:", err)
		os.Exit(1)
	}
}

// job is what a runner puts into the environment of a job that has the permission
// "id-token: write".
type job struct {
	RequestURL   string `json:"ACTIONS_ID_TOKEN_REQUEST_URL"`
	RequestToken string `json:"ACTIONS_ID_TOKEN_REQUEST_TOKEN"`
}

func run() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it runs until the process ends
	if err != nil {
		return err
	}
	i := &issuer{url: "http://" + listener.Addr().String(), key: key, repositories: make(map[string]string)}
	jobs := make(map[string]job)
	for repository, id := range map[string]string{"octo-org/octo-repo": "74", "someone-else/fork": "75"} {
		token := rand.Text()
		i.repositories[token] = id
		jobs[repository] = job{i.url + "/request?api-version=2.0", token}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("GET /request", i.request)
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"issuer": i.url, "jobs": jobs}); err != nil {
		return err
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return web.Serve(listener)
}

type issuer struct {
	url          string
	key          *rsa.PrivateKey
	repositories map[string]string // the id of the repository, by the request token of its job
}

// request gives a job its identity.
func (i *issuer) request(w http.ResponseWriter, r *http.Request) {
	var token string
	if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token); err != nil || i.repositories[token] == "" {
		http.Error(w, "unknown job", http.StatusUnauthorized)
		return
	}
	id, now := i.repositories[token], time.Now().Unix()
	identity, err := i.sign(map[string]any{
		"iss": i.url, "aud": r.URL.Query().Get("audience"), "sub": "repo:octo-org@65/octo-repo@" + id + ":environment:production",
		"iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(),
		"repository_id": id, "environment": "production", "ref": "refs/heads/main", "event_name": "push",
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, map[string]string{"value": identity})
}

// sign makes a JWT (RFC 7519), signed by RS256.
func (i *issuer) sign(claims map[string]any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode([]byte(`{"alg":"RS256","kid":"1","typ":"JWT"}`)) + "." + encode(text)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, digest[:])
	return signed + "." + encode(signature), err
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(os.Stderr, "issuer: reply:", err)
	}
}
