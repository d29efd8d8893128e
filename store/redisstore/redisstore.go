package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// Config configures a Driver. The zero value is the production default.
type Config struct {
	// Prefix is the prefix of every Redis key: 1 to 64 letters, digits and any of
	// "-_.:/". Default "latchkey". Drivers with the same prefix in the same database of
	// a server share one store. Services that share it by mistake see, limit and revoke
	// each other's keys, so give each service its own prefix.
	Prefix string
	// WaitReplicas is how many replicas must confirm a change: 1 to 10, or WaitNever.
	// Default 0: one if the server has replicas, otherwise none. If fewer confirm within
	// WaitTimeout, the call returns store.ErrUnavailable.
	WaitReplicas int
	// WaitTimeout bounds the wait for replicas: 10 ms to 2 s, and less than the
	// client's ReadTimeout. Default 500 ms.
	WaitTimeout time.Duration
	// Logger gets what is not returned as an error. Default slog.Default().
	Logger *slog.Logger
}

// WaitNever in Config.WaitReplicas means that a change waits for no replica. A failover
// may lose it.
const WaitNever = -1

// Driver stores records in Redis. Its methods are safe for concurrent use. It need not be
// closed; the caller closes the client.
type Driver struct {
	client      redis.UniversalClient
	cfg         Config
	layout      layout
	scripts     *scripts
	replicated  atomic.Bool // the server of the records had replicas at the last change
	revocations revocations
	checked     sync.Once
}

// New returns a driver that uses the given client: a *redis.Client, also one with
// failover by Sentinel, or a *redis.ClusterClient. New sends nothing to the server. The
// client must read from masters, since a replica may answer with old data. Its option
// ContextTimeoutEnabled must be set; otherwise a call could outlive its deadline while a
// server hangs.
func New(client redis.UniversalClient, cfg Config) (*Driver, error) {
	readTimeout, err := checkClient(client)
	problems := []error{err}
	cfg.Prefix = cmp.Or(cfg.Prefix, "latchkey")
	cfg.WaitTimeout = cmp.Or(cfg.WaitTimeout, 500*time.Millisecond)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if len(cfg.Prefix) > 64 || strings.Trim(cfg.Prefix, prefixCharacters) != "" {
		problems = append(problems, errors.New(`Config.Prefix: must be 1 to 64 letters, digits and any of "-_.:/"`))
	}
	if cfg.WaitReplicas < WaitNever || cfg.WaitReplicas > 10 {
		problems = append(problems, errors.New("Config.WaitReplicas: must be WaitNever (-1) or 0 to 10"))
	}
	if cfg.WaitTimeout < 10*time.Millisecond || cfg.WaitTimeout > 2*time.Second {
		problems = append(problems, errors.New("Config.WaitTimeout: must be 10 ms to 2 s, or 0 for 500 ms"))
	}
	if readTimeout > 0 && cfg.WaitReplicas != WaitNever && readTimeout <= cfg.WaitTimeout {
		problems = append(problems, errors.New("Config.WaitTimeout: must be less than the client's ReadTimeout"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	l := layout{prefix: cfg.Prefix}
	if c, ok := client.(*redis.Client); ok {
		l.database = c.Options().DB
	}
	return &Driver{
		client: client, cfg: cfg, layout: l, scripts: loadScripts(),
		revocations: revocations{byID: make(map[string]revocation)},
	}, nil
}

const prefixCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/"

// checkClient returns an error if the client cannot be used, and otherwise its read
// timeout; 0 or less means none.
func checkClient(client redis.UniversalClient) (readTimeout time.Duration, err error) {
	var deadlines bool
	single, _ := client.(*redis.Client)
	cluster, _ := client.(*redis.ClusterClient)
	switch {
	case single != nil:
		readTimeout, deadlines = single.Options().ReadTimeout, single.Options().ContextTimeoutEnabled
	case cluster != nil:
		o := cluster.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return 0, errors.New("client: the options ReadOnly, RouteByLatency and RouteRandomly must not be set")
		}
		readTimeout, deadlines = o.ReadTimeout, o.ContextTimeoutEnabled
	default:
		return 0, errors.New("client: must be a *redis.Client or a *redis.ClusterClient, and not nil")
	}
	if !deadlines {
		return 0, errors.New("client: the option ContextTimeoutEnabled must be set")
	}
	return readTimeout, nil
}

// Store returns a store that uses the driver, with every field except Cached set. Its
// SigningKeys, Usage and Limiter may be assigned to another driver's store.
func (db *Driver) Store() store.Store {
	return store.Store{
		Records: store.Records{
			Keys:       &keyTable{db},
			Secrets:    &keyTable{db},
			Workspaces: &workspaceTable{db},
			Upkeep:     &upkeep{db},
			Settings:   &settings{db},
			Events:     &eventLog{db},
			Epochs:     &epochs{db},
			OnceIDs:    &onceIDs{db},
			HostLists:  &lists{db},
			Watch:      &watch{db},
		},
		SigningKeys: &signingKeys{db},
		Usage:       &usage{db},
		Limiter:     &limiter{db},
	}
}
