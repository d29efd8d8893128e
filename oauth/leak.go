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
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
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
	// NoteOnly leaves the secrets that were found as they are. False: they are retired.
	NoteOnly bool
	// Hook, unless nil, is called for each entry whose secret a key has, after all secrets
	// of the report were handled and before the response: tell the owners of the
	// key. If a call fails or panics, the others follow, and the response is 503. The same
	// leak can be reported, and Hook called with it, any number of times and at once. Its
	// ctx ends 20 seconds after the report came.
	Hook func(ctx context.Context, l apikey.Leak) error
}

// Bounds of reports.
const (
	maxLeakBody = 4 << 20
	maxLeaks    = 10_000
	leakBounds  = "A report has at most 4 MiB and 10,000 secrets."
	// leakTimeout is below the 30 seconds for which GitHub waits.
	leakTimeout = 20 * time.Second
	// maxUnverified bounds the bodies in memory that anyone may have sent.
	maxUnverified = 4
	// leaksAtOnce is how many secrets of a report are handled at once, so that the
	// largest one ends in leakTimeout.
	leaksAtOnce = 16
)

// LeakReports returns a handler for reports of leaked secrets from GitHub's secret
// scanning partner program, for a route of the host's choice. It accepts a POST of JSON
// that the scanner has signed, of at most 4 MiB and 10,000 secrets. Each secret costs
// one read of the store, and one that a key has also a read and a write; a malformed
// secret costs none. The response says for each, by its SHA-256, whether it was real.
// See apikey.Service.ReportLeak for what is found and what is written.
//
// The secrets are handled 16 at once, in any order, and each alone. If one cannot be,
// the others still are, and the response is 503. It is 503 after 20 seconds, too. A
// repeated report finds what was done. The WriteTimeout of the http.Server must be
// longer. If an entry of the report is malformed, the response is 400 after the others
// were handled. While four bodies arrive that are not verified yet, the response to
// another is 503.
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
	if cfg.KeysURL == "" {
		err = errors.New("it is missing; for GitHub set https://api.github.com/meta/public_keys/secret_scanning")
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: LeakConfig.KeysURL: %w", err)
	}
	from, _ := url.Parse(cfg.KeysURL) //nolint:errcheck // NewRemoteKeys has parsed it
	cfg.Types = slices.Clone(cfg.Types)
	reports := &leakReports{s, cfg, keys, from.Hostname(), make(chan struct{}, maxUnverified)}
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
	cfg        LeakConfig
	keys       *bearer.RemoteKeys
	scanner    string
	unverified chan struct{} // holds one value for each body that is not verified yet
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
	if bad := l.read(w, r, published, signatures[0], &body); bad != nil {
		return nil, bad
	}
	arrival.Release()
	leaks, malformed, bad := parseLeaks(body.Bytes())
	if bad != nil {
		return nil, bad
	}
	labels, err := l.handle(ctx, leaks)
	if err == nil && malformed > 0 {
		return nil, badRequest(fmt.Sprintf("%d entries of the report are malformed: an entry is an object that has a token. The others were handled.", malformed))
	}
	return labels, err
}

// read reads a body and verifies its signature. Anyone can send a body with the id of a
// published key, so read turns away more than maxUnverified at once.
func (l *leakReports) read(w http.ResponseWriter, r *http.Request, published bearer.PublicKey, encoded string, body *bytes.Buffer) *refusal {
	select {
	case l.unverified <- struct{}{}:
		defer func() { <-l.unverified }()
	default:
		return &refusal{Kind: answer.Unavailable, Detail: "Too many reports arrive at once. Send this one again."}
	}
	if bad := l.host.ReadBody(w, r, maxLeakBody, body); bad != nil {
		bad.Detail = cmp.Or(bad.Detail, leakBounds) // only a body that is too long has none
		return bad
	}
	key, isECDSA := published.Key.(*ecdsa.PublicKey)
	signature, err := base64.StdEncoding.DecodeString(encoded)
	sum := sha256.Sum256(body.Bytes())
	if err != nil || !isECDSA || !ecdsa.VerifyASN1(key, sum[:], signature) {
		return &refusal{Kind: answer.Unsigned}
	}
	return nil
}

// handle acts on the secrets, and then calls the hook, which may be slow. It leaves out
// repeated entries and those of other types. The order is that of a map, which is another
// each time, so that a report that is always cut off comes to its end by repetition.
func (l *leakReports) handle(ctx context.Context, leaks []reportedLeak) ([]leakLabel, error) {
	places := make(map[reportedLeak]int, len(leaks))
	for _, leak := range leaks {
		if _, repeated := places[leak]; !repeated && (len(l.cfg.Types) == 0 || slices.Contains(l.cfg.Types, leak.Type)) {
			places[leak] = len(places)
		}
	}
	labels, found, failed := make([]leakLabel, len(places)), make([]apikey.Leak, len(places)), make([]error, len(places))
	slots := make(chan struct{}, leaksAtOnce)
	var group sync.WaitGroup
	for leak, i := range places {
		slots <- struct{}{}
		group.Go(func() {
			failed[i] = recovered(func() (err error) {
				labels[i], found[i], err = l.act(ctx, leak)
				return err
			})
			<-slots
		})
	}
	group.Wait()
	for i := range found {
		if l.cfg.Hook == nil || failed[i] != nil || found[i].Key == "" {
			continue
		}
		if err := recovered(func() error { return l.cfg.Hook(ctx, found[i]) }); err != nil {
			failed[i] = fmt.Errorf("LeakConfig.Hook failed: %w", err)
		}
	}
	for _, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("oauth: leak report: %w: %s", store.ErrUnavailable, err.Error())
		}
	}
	return labels, nil
}

// act acts on one secret. The Key of the returned Leak is empty if no key has it.
func (l *leakReports) act(ctx context.Context, leak reportedLeak) (leakLabel, apikey.Leak, error) {
	hash := sha256.Sum256([]byte(leak.Token))
	label := leakLabel{hex.EncodeToString(hash[:]), leak.Type, "true_positive"}
	found, err := l.Server.keys.ReportLeak(ctx, leak.Token, apikey.Leak{Scanner: l.scanner, URL: leak.URL, Source: leak.Source, NoteOnly: l.cfg.NoteOnly})
	if errors.Is(err, apikey.ErrInvalidCredentials) {
		label.Label, err = "false_positive", nil
	}
	return label, found, err
}

// recovered returns the error of do. A panic in the host's code, such as the Observer, is
// an error of this entry: it would end the process, or keep other secrets alive.
func recovered(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// parseLeaks reads the body of a report, and counts its malformed entries. One whose
// token can be read is among the leaks nevertheless.
func parseLeaks(body []byte) (leaks []reportedLeak, malformed int, bad *refusal) {
	var entries []json.RawMessage // encoding/json checks the syntax; the rest is checked for each entry
	if json.Unmarshal(body, &entries) != nil || entries == nil {
		return nil, 0, badRequest("The body is not a well-formed JSON array.")
	}
	if len(entries) > maxLeaks {
		return nil, 0, &refusal{Kind: answer.TooLarge, Detail: leakBounds}
	}
	for _, entry := range entries {
		var leak reportedLeak
		if err := strictjson.Unmarshal(entry, &leak); err != nil || leak.Token == "" {
			malformed++
		}
		if leak.Token != "" {
			leaks = append(leaks, leak)
		}
	}
	return leaks, malformed, nil
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
