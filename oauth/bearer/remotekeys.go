package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/remote"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Defaults and bounds of a RemoteKeysConfig.
const (
	DefaultRefresh     = 5 * time.Minute
	DefaultCooldown    = time.Minute
	DefaultMaxStale    = 24 * time.Hour
	DefaultKeysTimeout = 5 * time.Second
)

// RemoteKeysConfig configures a RemoteKeys. A duration of zero means the
// default; a negative one is an error.
type RemoteKeysConfig struct {
	// URL is the URL of the issuer's JWKS document: https, without user name
	// and fragment. Required. Redirects are refused.
	URL string
	// InsecureLoopback also allows http, for localhost and loopback addresses.
	InsecureLoopback bool
	// Client makes the requests; its redirect policy and cookies are not used.
	// Nil: a new client, which takes its proxy from the environment.
	Client *http.Client
	// Timeout bounds a fetch from the dial to the last byte: up to one minute.
	// Zero: DefaultKeysTimeout.
	Timeout time.Duration
	// Refresh is the age at which the set is fetched again: one second to 24
	// hours. Tokens of a key that the issuer removed work until then. Zero:
	// DefaultRefresh.
	Refresh time.Duration
	// Cooldown is the minimum time between two fetches: one second to Refresh.
	// It limits how many requests tokens with made-up kids can cause at the
	// issuer. A new key should be published this long before its first use.
	// While there is no usable set, a fetch starts two seconds after the last one, or a
	// Cooldown if that is shorter. Zero: DefaultCooldown, or Refresh if that is shorter.
	Cooldown time.Duration
	// MaxStale is how old the last good set may be while no new one can be
	// fetched: Refresh to 30 days. An older set is not used: every token is
	// refused with 503. Zero: DefaultMaxStale.
	MaxStale time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger logs failed fetches and the first successful one after them. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// RemoteKeys is a key set that an issuer publishes at a URL. It is cached in
// memory and fetched for the first token; Run keeps it fresh. An answer has the
// same bounds as the argument of StaticKeys. An answer that StaticKeys would
// refuse leaves the set unchanged. It is safe for concurrent use.
type RemoteKeys struct{ keys *remote.Keys[PublicKey] }

var errNoKeys = errors.New("bearer: remote keys: the issuer's keys cannot be fetched")

// NewRemoteKeys checks the configuration and returns an empty set; it makes no
// request and starts no goroutine. It joins all problems into one error, each
// naming its field.
func NewRemoteKeys(config RemoteKeysConfig) (*RemoteKeys, error) {
	config.Timeout = cmp.Or(config.Timeout, DefaultKeysTimeout)
	config.Refresh = cmp.Or(config.Refresh, DefaultRefresh)
	config.Cooldown = cmp.Or(config.Cooldown, min(DefaultCooldown, config.Refresh))
	config.MaxStale = cmp.Or(config.MaxStale, max(DefaultMaxStale, config.Refresh))
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	endpoint, err := remote.NewEndpoint(config.URL, config.InsecureLoopback, config.Client, config.Timeout)
	keys, bad := remote.NewKeys(remote.KeysConfig[PublicKey]{
		Endpoint: endpoint, Accept: "application/jwk-set+json, application/json", Parse: parseRemote,
		Refresh: config.Refresh, Cooldown: config.Cooldown, MaxStale: config.MaxStale, Now: config.Now, Logger: config.Logger,
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("bearer: remote keys: %w", err)
	}
	return &RemoteKeys{keys}, nil
}

// Key implements KeySet. It returns a known key from memory, without a lock. A
// kid that is not in the set causes a fetch, unless the last one is less than a
// Cooldown ago. All callers that need the fetch wait for it, each until its ctx
// ends. ErrUnknownKey means that the last fetch succeeded and the set does not
// have the key. If the last fetch failed, the error is an outage, because the
// key may be new.
//
// The first call that finds the set older than Refresh starts a fetch. It waits
// for the fetch unless Run is running; other calls use the old set meanwhile.
func (s *RemoteKeys) Key(ctx context.Context, kid string) (PublicKey, error) {
	key, err := s.keys.Key(ctx, kid)
	switch {
	case err == nil:
		return key, nil
	case errors.Is(err, remote.ErrUnknown):
		return key, ErrUnknownKey
	case errors.Is(err, remote.ErrNone):
		return key, errNoKeys
	}
	return key, fmt.Errorf("bearer: remote keys: %w", err)
}

// Run fetches the set at once and whenever it is older than Refresh. With it,
// no request with a known key waits for a fetch, and the set is fresh even if
// no request came for a while. After a failure it tries again after a Cooldown.
// It blocks until ctx ends, and then returns nil. A running fetch may continue
// after that, for at most its Timeout.
func (s *RemoteKeys) Run(ctx context.Context) error {
	s.keys.Run(ctx)
	return nil
}

// parseRemote reads the issuer's answer.
func parseRemote(answer []byte) (map[string]PublicKey, error) {
	keys, err := parseKeys(answer)
	// The error must not contain the member's name, which is a part of the answer.
	var syntax *strictjson.Error
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("the issuer's answer is not a key set: JSON: %s", syntax.Reason)
	}
	return keys, err
}
