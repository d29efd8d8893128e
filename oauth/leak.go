package oauth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// LeakConfig configures the handler of Server.LeakReports. KeysURL is required. The zero
// value of every other field is the production default.
type LeakConfig struct {
	// KeysURL is the URL of the public keys with which the scanner signs: for GitHub,
	// "https://api.github.com/meta/public_keys/secret_scanning". It must be https, or
	// http to a loopback host if Config.InsecureLoopback is set. Required. A proxy on
	// the way is taken from the environment.
	KeysURL string
	// Types are the names of the secret types that the host has registered with the
	// scanner. Secrets of other types are neither looked up nor answered. Empty: all
	// types.
	Types []string
	// Action is what to do with a secret that was found. Default: retire it.
	Action apikey.LeakAction
	// Hook, unless nil, is called for each secret that a key has, after Action was taken
	// for all secrets of the report and before the response: tell the owners of the key.
	// If a call fails, the others follow, and the response is 503. The same leak can be
	// reported, and Hook called with it, any number of times and at once. Its ctx ends
	// 20 seconds after the report came.
	Hook func(ctx context.Context, l apikey.Leak) error
}

// Bounds of a report, which is signed.
const (
	maxLeakBody = 4 << 20
	maxLeaks    = 10_000
	leakBounds  = "A report has at most 4 MiB and 10,000 secrets."
	// leakTimeout is below the 30 seconds for which GitHub waits.
	leakTimeout = 20 * time.Second
)

// LeakReports returns a handler for reports of leaked secrets from GitHub's secret
// scanning partner program, for a route of the host's choice. It accepts a POST of JSON
// that the scanner has signed, of at most 4 MiB and 10,000 secrets. Each secret costs
// one read of the store, and one that a key has also a read and a write; a malformed
// secret costs none. The response says for each, by its SHA-256, whether it was real.
// See apikey.Service.ReportLeak for what is found and what is written. After 20 seconds
// the response is 503, and a repeated report finds what was done. The WriteTimeout of the
// http.Server must be longer.
//
// The keys are fetched for the first report, once an hour, and at most once a minute for
// unknown key ids. If they cannot be fetched, the last ones are used for 24 hours.
//
// It returns an error if cfg.KeysURL is not allowed.
func (s *Server) LeakReports(cfg LeakConfig) (http.Handler, error) {
	keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
		URL: cfg.KeysURL, InsecureLoopback: s.cfg.InsecureLoopback, Parse: parseLeakKeys,
		Refresh: time.Hour, Now: s.cfg.Now, Logger: s.cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("oauth: LeakConfig.KeysURL: %w", err)
	}
	from, _ := url.Parse(cfg.KeysURL) //nolint:errcheck // NewRemoteKeys has parsed it
	cfg.Types = slices.Clone(cfg.Types)
	reports := &leakReports{s, cfg, keys, from.Hostname()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The work goes on if the scanner closes the connection.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), leakTimeout)
		defer cancel()
		labels, err := reports.receive(ctx, w, r)
		if err != nil {
			s.refuse(ctx, w, err)
			return
		}
		writeJSON(w, toJSON(labels))
	}), nil
}

// leakReports is the handler of LeakReports.
type leakReports struct {
	*Server
	cfg     LeakConfig
	keys    *bearer.RemoteKeys
	scanner string
}

// reportedLeak is one secret of a report.
type reportedLeak struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

// leakLabel says in the response whether a secret was real.
type leakLabel struct {
	Hash  string `json:"token_hash"` // SHA-256 in hexadecimal digits
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// receive reads a report and acts on it. It verifies the signature of the body before it
// parses the body, and knows the key before it reads the body.
func (l *leakReports) receive(ctx context.Context, w http.ResponseWriter, r *http.Request) ([]leakLabel, error) {
	arrival := l.host.BoundBody(w, r, bodyDeadline)
	if bad := l.admit(w, r); bad != nil {
		return nil, bad
	}
	ids, signatures := r.Header["Github-Public-Key-Identifier"], r.Header["Github-Public-Key-Signature"]
	if len(ids) != 1 || len(signatures) != 1 {
		return nil, &refusal{Kind: answer.Unsigned}
	}
	published, err := l.keys.Key(ctx, ids[0])
	switch {
	case errors.Is(err, bearer.ErrUnknownKey):
		return nil, &refusal{Kind: answer.Unsigned}
	case err != nil:
		return nil, fmt.Errorf("oauth: leak report: %w: %w", store.ErrUnavailable, err)
	}
	var body bytes.Buffer
	defer wipe(&body)
	if bad := l.host.ReadBody(w, r, maxLeakBody, &body); bad != nil {
		bad.Detail = cmp.Or(bad.Detail, leakBounds) // only a body that is too long has none
		return nil, bad
	}
	arrival.Release()
	key, isECDSA := published.Key.(*ecdsa.PublicKey)
	signature, err := base64.StdEncoding.DecodeString(signatures[0])
	sum := sha256.Sum256(body.Bytes())
	if err != nil || !isECDSA || !ecdsa.VerifyASN1(key, sum[:], signature) {
		return nil, &refusal{Kind: answer.Unsigned}
	}
	leaks, bad := parseLeaks(body.Bytes())
	if bad != nil {
		return nil, bad
	}
	return l.handle(ctx, leaks)
}

// handle acts on the secrets. It leaves out repeated ones and those of other types.
func (l *leakReports) handle(ctx context.Context, leaks []reportedLeak) ([]leakLabel, error) {
	labels, found := []leakLabel{}, []apikey.Leak{}
	seen := make(map[reportedLeak]bool, len(leaks))
	for _, leak := range leaks {
		if seen[leak] || len(l.cfg.Types) > 0 && !slices.Contains(l.cfg.Types, leak.Type) {
			continue
		}
		seen[leak] = true
		label := "true_positive"
		known, err := l.Server.keys.ReportLeak(ctx, leak.Token, apikey.Leak{Scanner: l.scanner, URL: leak.URL, Source: leak.Source, Action: l.cfg.Action})
		switch {
		case err == nil:
			found = append(found, known)
		case errors.Is(err, apikey.ErrInvalidCredentials):
			label = "false_positive"
		default:
			return nil, err
		}
		hash := sha256.Sum256([]byte(leak.Token))
		labels = append(labels, leakLabel{hex.EncodeToString(hash[:]), leak.Type, label})
	}
	if l.cfg.Hook == nil {
		return labels, nil
	}
	var failed error
	for _, leak := range found { // after the last secret was retired, since a hook may be slow
		if err := l.cfg.Hook(ctx, leak); err != nil && failed == nil {
			failed = fmt.Errorf("oauth: LeakConfig.Hook failed: %w: %s", store.ErrUnavailable, err.Error())
		}
	}
	return labels, failed
}

// parseLeaks reads the body of a report.
func parseLeaks(body []byte) ([]reportedLeak, *refusal) {
	elements, err := strictjson.Elements(body)
	if len(elements) > maxLeaks {
		return nil, &refusal{Kind: answer.TooLarge, Detail: leakBounds}
	}
	leaks := make([]reportedLeak, len(elements))
	for i := range elements {
		err = errors.Join(err, strictjson.Unmarshal(elements[i], &leaks[i]))
	}
	if err != nil || slices.ContainsFunc(leaks, func(l reportedLeak) bool { return l.Token == "" }) {
		return nil, badRequest("The body is not a well-formed JSON array of objects that have a token.")
	}
	return leaks, nil
}

// parseLeakKeys reads the document at LeakConfig.KeysURL. It skips keys that are not on
// P-256. Old keys count as well as the current one, since a report may come late.
func parseLeakKeys(document []byte) (map[string]bearer.PublicKey, error) {
	var published struct {
		Keys []struct {
			ID  string `json:"key_identifier"`
			PEM string `json:"key"`
		} `json:"public_keys"`
	}
	if strictjson.Unmarshal(document, &published) != nil {
		return nil, errors.New("the answer is not a JSON object with public_keys")
	}
	keys := make(map[string]bearer.PublicKey)
	for _, k := range published.Keys {
		block, _ := pem.Decode([]byte(k.PEM))
		if block == nil || k.ID == "" {
			continue
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := parsed.(*ecdsa.PublicKey); err == nil && ok && key.Curve == elliptic.P256() {
			keys[k.ID] = bearer.PublicKey{ID: k.ID, Algorithm: "ES256", Key: key}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the answer has no key on P-256")
	}
	return keys, nil
}
