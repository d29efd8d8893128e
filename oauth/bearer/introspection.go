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
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Defaults and bounds of an IntrospectorConfig.
const (
	DefaultCacheFor = 5 * time.Second
	MaxCacheFor     = time.Minute
	// DefaultIntrospectionTimeout answers a request within a second while the
	// issuer does not.
	DefaultIntrospectionTimeout = 800 * time.Millisecond
)

// Secret is a text that is never printed: fmt, slog and encoding/json write
// "(redacted)", or nothing for an empty one.
type Secret string

// Format implements fmt.Formatter; see Secret.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.hidden()) //nolint:errcheck // Printf is told by f
}

// MarshalText implements encoding.TextMarshaler; see Secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.hidden()), nil }

func (s Secret) hidden() string {
	if s == "" {
		return ""
	}
	return "(redacted)"
}

// IntrospectorConfig names the endpoint that an Introspector asks, and the client
// that it authenticates as.
type IntrospectorConfig struct {
	// URL is that of the issuer's introspection endpoint: https, without user
	// name and fragment. Required. Redirects are refused.
	URL string
	// InsecureLoopback also allows http, for localhost and loopback addresses.
	InsecureLoopback bool
	// ClientID and ClientSecret are this resource server's own credentials at
	// the issuer. Required.
	ClientID     string
	ClientSecret Secret
	// Client makes the requests; its redirect policy and cookies are not used.
	// Nil: a client of the Introspector's own, which takes its proxy from the
	// environment.
	Client *http.Client
	// Timeout bounds one question from the dial to the last byte: up to one
	// minute. Zero: DefaultIntrospectionTimeout.
	Timeout time.Duration
	// CacheFor is how long an answer that the token is live may be used again,
	// counted from when the question was asked. So it is the bound on how long
	// an ended token still works here after the issuer knows that it ended: a
	// request that comes CacheFor later, or more, is refused. Up to MaxCacheFor;
	// zero: DefaultCacheFor; negative: every request asks, and the next one
	// after the end is refused.
	CacheFor time.Duration
	// CacheEntries bounds the number of answers that are kept; they take at
	// most about DefaultCacheBytes. Zero: DefaultCacheEntries; negative: none.
	CacheEntries int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger is told why the issuer's answers cannot be used, once until the
	// reason changes, and when they can again. Nil: slog.Default().
	Logger *slog.Logger
}

// Introspector asks the issuer whether a token was ended before it expired
// (RFC 7662). It implements Epochs, for a Verifier that has checked signature
// and claims itself. Only a clear answer counts: whatever else the issuer
// sends, or if it sends nothing, the token is not taken and the answer is 503.
// It is safe for concurrent use.
type Introspector struct {
	endpoint endpoint
	// authorization returns the header's value: a function, because what holds
	// an Introspector may be printed, down to its unexported fields.
	authorization func() string
	config        IntrospectorConfig // without the secret
	cache         *cache[verdict]

	mu      sync.Mutex
	asking  map[string]*question
	trouble string // the reason last logged
}

// verdict is what the issuer said.
type verdict struct {
	ended bool
	asked time.Time // before the question was sent, not when it was answered
}

// question is one request to the issuer; verdict and err may be read when done
// is closed.
type question struct {
	verdict
	err  error
	done chan struct{}
}

var (
	errNoRaw   = errors.New("bearer: introspection: the token's text is missing or too long")
	errNotTold = errors.New("bearer: introspection: the issuer did not tell whether the token was ended")
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
	var problems []error
	endpoint, err := newEndpoint(config.URL, config.InsecureLoopback, config.Client, config.Timeout)
	if err != nil {
		problems = append(problems, err)
	}
	if config.ClientID == "" {
		problems = append(problems, errors.New("ClientID: is required"))
	}
	if config.ClientSecret == "" {
		problems = append(problems, errors.New("ClientSecret: is required"))
	}
	if config.CacheFor > MaxCacheFor {
		problems = append(problems, fmt.Errorf("CacheFor: is %v, more than %v", config.CacheFor, MaxCacheFor))
	}
	if config.CacheEntries > maxCacheEntries {
		problems = append(problems, fmt.Errorf("CacheEntries: is %d, more than %d", config.CacheEntries, maxCacheEntries))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: introspection: %w", err)
	}
	// Both halves are form-encoded first (RFC 6749, section 2.3.1).
	pair := url.QueryEscape(config.ClientID) + ":" + url.QueryEscape(string(config.ClientSecret))
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	config.ClientSecret = ""
	return &Introspector{
		endpoint:      endpoint,
		authorization: func() string { return authorization },
		config:        config,
		cache:         newCache[verdict](config.CacheEntries, 0),
		asking:        make(map[string]*question),
	}, nil
}

// Ended implements Epochs. It needs t.Raw. One question is asked for a token
// at a time; those who come meanwhile wait for its answer, each as long as its
// ctx allows. An answer that the token has ended is final and may be kept for
// any time; errors are never kept.
func (i *Introspector) Ended(ctx context.Context, t Token) (bool, error) {
	if t.Raw == "" || len(t.Raw) > jose.MaxToken {
		return false, errNoRaw
	}
	begun := i.config.Now()
	if hit := i.cache.find(t.Raw); hit != nil && (hit.value.ended || within(begun, hit.value.asked, i.config.CacheFor)) {
		return hit.value.ended, nil
	}
	for joined := false; ; joined = true {
		q, mine := i.question(t)
		select {
		case <-q.done:
		case <-ctx.Done():
			return false, fmt.Errorf("bearer: introspection: wait for the issuer: %w", ctx.Err())
		}
		switch {
		case q.err != nil:
			return false, q.err
		case q.ended:
			return true, nil
		// The question may have been under way for longer than CacheFor when
		// this call began, and the token ended since. The next one was asked
		// after this call began.
		case mine || joined || within(begun, q.asked, i.config.CacheFor):
			return false, nil
		}
	}
}

// question asks about a token, or joins in if somebody does.
func (i *Introspector) question(t Token) (q *question, mine bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if q, ok := i.asking[t.Raw]; ok {
		return q, false
	}
	q = &question{verdict: verdict{asked: i.config.Now()}, done: make(chan struct{})}
	i.asking[t.Raw] = q
	go i.ask(t, q)
	return q, true
}

func (i *Introspector) ask(t Token, q *question) {
	ended, err := i.introspect(t)
	i.report(err)
	switch q.ended = ended; {
	case err != nil:
		q.err = errNotTold
	case ended || i.config.CacheFor > 0: // else it is of no use to anybody later
		i.cache.add(t.Raw, verdictCost, q.verdict)
	}
	i.mu.Lock()
	delete(i.asking, t.Raw)
	i.mu.Unlock()
	close(q.done)
}

// introspect is RFC 7662, section 2. Its errors repeat nothing that was sent.
func (i *Introspector) introspect(t Token) (ended bool, err error) {
	form := url.Values{"token": {t.Raw}, "token_type_hint": {"access_token"}}
	answer, err := i.endpoint.call(http.MethodPost, form.Encode(), http.Header{
		"Authorization": {i.authorization()},
		"Accept":        {"application/json"},
		"Content-Type":  {"application/x-www-form-urlencoded"},
		// Not sent: it tells net/http that asking twice does no harm, when a
		// kept connection turns out to be closed.
		"Idempotency-Key": {},
	})
	if err != nil {
		return false, err
	}
	return readAnswer(answer, t)
}

var answerNames = []string{"active", "jti", "client_id", "exp"}

// readAnswer reports false only for an answer that is clear and is about this
// token. The issuer need not say which token it speaks of, but what it says
// must be right.
func readAnswer(answer []byte, t Token) (ended bool, err error) {
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
		return false, errors.New("the answer has no boolean member \"active\"")
	}
	for name, want := range map[string]string{"jti": t.TokenID, "client_id": t.KeyID} {
		if value, ok := members.Get(name); ok {
			if text, err := strictjson.String(value); err != nil || text != want {
				return false, fmt.Errorf("the answer's %s is not the token's", name)
			}
		}
	}
	if value, ok := members.Get("exp"); ok && !sameSecond(value, t.Expires) {
		return false, errors.New("the answer's exp is not the token's")
	}
	return false, nil
}

// sameSecond compares with a time whose fraction of a second was dropped.
func sameSecond(value json.RawMessage, want time.Time) bool {
	seconds, err := strconv.ParseFloat(string(value), 64)
	return err == nil && math.Floor(seconds) == float64(want.Unix())
}

// report logs a reason once until it changes: while the issuer is away, every
// request has the same one.
func (i *Introspector) report(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	i.mu.Lock()
	before := i.trouble
	i.trouble = reason
	i.mu.Unlock()
	switch {
	case reason == before:
	case reason == "":
		i.config.Logger.Info("the issuer answers introspection again", "url", i.endpoint.url)
	default:
		i.config.Logger.Error("the issuer cannot be asked whether tokens were ended; requests are answered with 503",
			"url", i.endpoint.url, "error", reason)
	}
}
