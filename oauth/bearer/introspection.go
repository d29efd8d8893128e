package bearer

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Defaults and bounds of an IntrospectorConfig.
const (
	DefaultCacheFor = 5 * time.Second
	MaxCacheFor     = time.Minute
	// DefaultIntrospectionTimeout is short enough to answer a request within a
	// second while the issuer does not answer.
	DefaultIntrospectionTimeout = 800 * time.Millisecond
)

// Secret is a string that redacts itself: fmt, slog and encoding/json write
// "(redacted)", or nothing for an empty one.
type Secret string

// Format implements fmt.Formatter; see Secret.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.redacted()) //nolint:errcheck // f reports it to Printf
}

// MarshalText implements encoding.TextMarshaler; see Secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.redacted()), nil }

func (s Secret) redacted() string {
	if s == "" {
		return ""
	}
	return "(redacted)"
}

// IntrospectorConfig configures an Introspector: the issuer's endpoint and the
// client credentials for it.
type IntrospectorConfig struct {
	// URL is the URL of the issuer's introspection endpoint: https, without user
	// name and fragment. Required. Redirects are refused.
	URL string
	// InsecureLoopback also allows http, for localhost and loopback addresses.
	InsecureLoopback bool
	// ClientID and ClientSecret are this resource server's own credentials at
	// the issuer. Required.
	ClientID     string
	ClientSecret Secret
	// Client makes the requests; its redirect policy and cookies are not used.
	// Nil: a new client, which takes its proxy from the environment.
	Client *http.Client
	// Timeout bounds one introspection request from the dial to the last byte:
	// up to one minute. Zero: DefaultIntrospectionTimeout.
	Timeout time.Duration
	// CacheFor is how long the answer that a token is active is cached, counted
	// from when the request was sent. It bounds how long a revoked token still
	// works here after the issuer knows of the revocation: a request that
	// arrives CacheFor later, or more, is refused. Up to MaxCacheFor; zero:
	// DefaultCacheFor; negative: every request asks the issuer, and the first
	// one after the revocation is refused.
	CacheFor time.Duration
	// CacheEntries bounds the number of cached answers. They take about
	// DefaultCacheBytes at most. Zero: DefaultCacheEntries; negative: no cache.
	CacheEntries int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger logs why the issuer's answers cannot be used, if the reason is not the
	// last one that was logged, and when they can be used again. Nil: slog.Default().
	Logger *slog.Logger
}

// Introspector asks the issuer whether a token was revoked (RFC 7662). It
// implements Epochs: the Verifier checks signature and claims itself. If the
// issuer sends no answer, or one that does not clearly say whether the token is
// active, the request is refused with 503. It is safe for concurrent use.
type Introspector struct {
	endpoint endpoint
	// authorization returns the Authorization header. It is a function so that
	// printing an Introspector, which prints unexported fields too, does not
	// print the secret.
	authorization func() string
	config        IntrospectorConfig // without the secret
	cache         *cache[verdict]

	mu         sync.Mutex
	running    map[string]*question
	lastReason string // the reason logged last
}

// verdict is the issuer's answer about a token.
type verdict struct {
	revoked bool
	asked   time.Time // before the request was sent, not when it was answered
}

// question is one request to the issuer. verdict and err may be read after done
// was closed.
type question struct {
	verdict
	err  error
	done chan struct{}
}

var (
	errNoRaw    = errors.New("bearer: introspection: Token.Raw is empty or too long")
	errNoAnswer = errors.New("bearer: introspection: the issuer gave no usable answer; its reason is in the log")
)

// NewIntrospector checks the configuration. It makes no request and starts no
// goroutine. It joins all problems into one error, each naming its field.
func NewIntrospector(config IntrospectorConfig) (*Introspector, error) {
	config.Timeout = cmp.Or(config.Timeout, DefaultIntrospectionTimeout)
	config.CacheFor = cmp.Or(config.CacheFor, DefaultCacheFor)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	endpoint, err := newEndpoint(config.URL, config.InsecureLoopback, config.Client, config.Timeout)
	problems := []error{err}
	if config.ClientID == "" {
		problems = append(problems, errors.New("ClientID: is required"))
	}
	if config.ClientSecret == "" {
		problems = append(problems, errors.New("ClientSecret: is required"))
	}
	if config.CacheFor > MaxCacheFor {
		problems = append(problems, fmt.Errorf("CacheFor: is %v, must be at most %v", config.CacheFor, MaxCacheFor))
	}
	if config.CacheEntries > maxCacheEntries {
		problems = append(problems, fmt.Errorf("CacheEntries: is %d, must be at most %d", config.CacheEntries, maxCacheEntries))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: introspection: %w", err)
	}
	// Both are form-encoded first (RFC 6749, section 2.3.1).
	pair := url.QueryEscape(config.ClientID) + ":" + url.QueryEscape(string(config.ClientSecret))
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	config.ClientSecret = ""
	return &Introspector{
		endpoint:      endpoint,
		authorization: func() string { return authorization },
		config:        config,
		cache:         newCache[verdict](config.CacheEntries, 0),
		running:       make(map[string]*question),
	}, nil
}

// Revoked implements Epochs. It needs t.Raw. For one token it sends one request
// at a time; concurrent calls wait for the same answer, each until its ctx ends.
// The answer that a token was revoked is final and is cached without a time limit;
// errors are never cached.
func (i *Introspector) Revoked(ctx context.Context, t Token) (bool, error) {
	if t.Raw == "" || len(t.Raw) > jose.MaxToken {
		return false, errNoRaw
	}
	begun := i.config.Now()
	if hit := i.cache.find(t.Raw); hit != nil && (hit.value.revoked || within(begun, hit.value.asked, i.config.CacheFor)) {
		return hit.value.revoked, nil
	}
	for joined := false; ; joined = true {
		q, started := i.question(t)
		select {
		case <-q.done:
		case <-ctx.Done():
			return false, fmt.Errorf("bearer: introspection: wait for the issuer: %w", ctx.Err())
		}
		switch {
		case q.err != nil:
			return false, q.err
		case q.revoked:
			return true, nil
		// Another caller's request may have been sent more than CacheFor before
		// this call began, and the token revoked since. Then no case applies, and
		// the loop waits for the next request, which is sent after this call began.
		case started || joined || within(begun, q.asked, i.config.CacheFor):
			return false, nil
		}
	}
}

// question starts a request about a token, or returns the running one.
func (i *Introspector) question(t Token) (q *question, started bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if q, ok := i.running[t.Raw]; ok {
		return q, false
	}
	t.Raw = strings.Clone(t.Raw) // its memory may be used again before the answer comes
	q = &question{verdict: verdict{asked: i.config.Now()}, done: make(chan struct{})}
	i.running[t.Raw] = q
	go i.ask(t, q)
	return q, true
}

func (i *Introspector) ask(t Token, q *question) {
	revoked, err := i.introspect(t)
	i.report(err)
	switch q.revoked = revoked; {
	case err != nil:
		q.err = errNoAnswer
	case revoked || i.config.CacheFor > 0:
		i.cache.add(t.Raw, verdictCost, q.verdict)
	}
	i.mu.Lock()
	delete(i.running, t.Raw)
	i.mu.Unlock()
	close(q.done)
}

// introspect sends the request of RFC 7662, section 2. Its errors contain no
// part of the request or the answer.
func (i *Introspector) introspect(t Token) (revoked bool, err error) {
	form := url.Values{"token": {t.Raw}, "token_type_hint": {"access_token"}}
	answer, err := i.endpoint.call(context.Background(), http.MethodPost, form.Encode(), http.Header{
		"Authorization": {i.authorization()},
		"Accept":        {"application/json"},
		"Content-Type":  {"application/x-www-form-urlencoded"},
		// An empty value is not sent. It lets net/http repeat the request if a
		// kept connection turns out to be closed.
		"Idempotency-Key": {},
	})
	if err != nil {
		return false, err
	}
	return readAnswer(answer, t)
}

var answerNames = []string{"active", "jti", "client_id", "exp"}

// readAnswer reports whether the token was revoked. It returns an error unless
// the answer is clear and is about this token. jti, client_id and exp are
// optional in the answer, but must be the token's if they are there.
func readAnswer(answer []byte, t Token) (revoked bool, err error) {
	members, err := strictjson.Members(answer, answerNames)
	if err != nil {
		return false, errors.New("the answer is not one JSON object")
	}
	active, _ := members.Get("active")
	switch string(active) {
	case "false":
		return true, nil
	case "true":
	default:
		return false, errors.New("the answer has no boolean \"active\"")
	}
	for name, want := range map[string]string{"jti": t.TokenID, "client_id": t.KeyID} {
		if value, ok := members.Get(name); ok {
			if text, err := strictjson.String(value); err != nil || text != want {
				return false, fmt.Errorf("the answer has another %s than the token", name)
			}
		}
	}
	if value, ok := members.Get("exp"); ok && !sameSecond(value, t.Expires) {
		return false, errors.New("the answer has another exp than the token")
	}
	return false, nil
}

// sameSecond reports whether value, rounded down to seconds, equals want.
func sameSecond(value json.RawMessage, want time.Time) bool {
	seconds, err := strconv.ParseFloat(string(value), 64)
	return err == nil && math.Floor(seconds) == float64(want.Unix())
}

// report logs a reason only when it changes, since every request during an
// outage has the same one.
func (i *Introspector) report(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	i.mu.Lock()
	before := i.lastReason
	i.lastReason = reason
	i.mu.Unlock()
	switch {
	case reason == before:
	case reason == "":
		i.config.Logger.Info("the issuer answers introspection again", "url", i.endpoint.url)
	default:
		i.config.Logger.Error("the issuer cannot be asked whether tokens were revoked; requests are answered with 503",
			"url", i.endpoint.url, "error", reason)
	}
}
