package redisstore

import (
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

// Config says how a Driver uses Redis. The zero value is what production
// wants.
type Config struct {
	// Prefix begins the name of every key: 1 to 64 letters, digits and any of
	// "-_.:/". Default "latchkey". All drivers with one prefix in one database of a
	// server are one store. Two services that share it by mistake see, limit and revoke
	// each other's keys, so give each service a prefix of its own.
	Prefix string
	// WaitReplicas is how many replicas must have a change before it counts
	// as made: 0 is one if there are any, WaitNever none, at most 10. Fewer in
	// time is store.ErrUnavailable.
	WaitReplicas int
	// WaitTimeout is how long a change waits for them: 10 ms to 2 s, and less
	// than the client's ReadTimeout. Default 500 ms.
	WaitTimeout time.Duration
	// Logger is told of what no caller is told: default slog.Default().
	Logger *slog.Logger
}

// WaitNever as Config.WaitReplicas makes a change count once the master has
// it: a failover may lose it.
const WaitNever = -1

// Driver is a store in Redis. Its methods are safe for concurrent use. It holds
// nothing that must be closed; the client stays its caller's.
type Driver struct {
	client      redis.UniversalClient
	cfg         Config
	layout      layout
	scripts     *scripts
	followed    atomic.Bool // the server of the records had replicas when last asked
	revocations revocations
	checked     sync.Once
}

// New returns a driver that uses the given client: a *redis.Client, also one
// with failover by Sentinel, or a *redis.ClusterClient. It sends nothing. The
// client must read from masters, since a replica may answer with what was
// true a while ago, and have its option ContextTimeoutEnabled set, since
// otherwise a call would outlive its deadline while a server hangs.
func New(client redis.UniversalClient, cfg Config) (*Driver, error) {
	readTimeout, err := checkClient(client)
	problems := []error{err}
	if cfg.Prefix == "" {
		cfg.Prefix = "latchkey"
	}
	if len(cfg.Prefix) > 64 || strings.Trim(cfg.Prefix, prefixCharacters) != "" {
		problems = append(problems, errors.New(`Config.Prefix: 1 to 64 letters, digits and any of "-_.:/"`))
	}
	if cfg.WaitReplicas < WaitNever || cfg.WaitReplicas > 10 {
		problems = append(problems, errors.New("Config.WaitReplicas: WaitNever (-1) to 10"))
	}
	if cfg.WaitTimeout == 0 {
		cfg.WaitTimeout = 500 * time.Millisecond
	}
	if cfg.WaitTimeout < 10*time.Millisecond || cfg.WaitTimeout > 2*time.Second {
		problems = append(problems, errors.New("Config.WaitTimeout: 10 ms to 2 s, or 0 for 500 ms"))
	}
	if readTimeout > 0 && cfg.WaitReplicas != WaitNever && readTimeout <= cfg.WaitTimeout {
		problems = append(problems, errors.New("Config.WaitTimeout: less than the client's ReadTimeout"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
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

// checkClient refuses a client that cannot be used, and returns its read
// timeout: 0 or less is none.
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
			return 0, errors.New("client: its options ReadOnly, RouteByLatency and RouteRandomly must not be set")
		}
		readTimeout, deadlines = o.ReadTimeout, o.ContextTimeoutEnabled
	default:
		return 0, errors.New("client: missing, or neither a *redis.Client nor a *redis.ClusterClient")
	}
	if !deadlines {
		return 0, errors.New("client: its option ContextTimeoutEnabled must be set")
	}
	return readTimeout, nil
}

// Store returns the driver as a store with every field set. Its SigningKeys,
// Usage and Limiter may be assigned to another driver's store.
func (db *Driver) Store() store.Store {
	return store.Store{
		Records: store.Records{
			Keys:     &keyTable{db},
			Upkeep:   &upkeep{db},
			Settings: &settings{db},
			Events:   &eventLog{db},
			Epochs:   &epochs{db},
			OnceIDs:  &onceIDs{db},
			Lists:    &lists{db},
			Watch:    &watch{db},
		},
		SigningKeys: &signingKeys{db},
		Usage:       &usage{db},
		Limiter:     &limiter{db},
	}
}
