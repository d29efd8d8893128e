package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Check asks every master how well it keeps what it is given, and returns what
// is not as it should be, one sentence each; it also logs them as warnings.
// None means: no master evicts keys, and each writes to disk at once. The
// first Watch of a Driver does the same.
func (db *Driver) Check(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var found []string
	check := func(ctx context.Context, server *redis.Client) error {
		of, err := findings(ctx, server)
		mu.Lock()
		defer mu.Unlock()
		for _, finding := range of {
			if !slices.Contains(found, finding) {
				found = append(found, finding)
			}
		}
		return err
	}
	var err error
	switch c := db.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, check)
	case *redis.Client:
		err = check(ctx, c)
	}
	if err != nil {
		return nil, fail("check the servers", db.failure(ctx, err, nil))
	}
	for _, finding := range found {
		db.cfg.Logger.WarnContext(ctx, "redisstore: "+finding)
	}
	return found, nil
}

// findings are about one server.
func findings(ctx context.Context, server *redis.Client) (found []string, err error) {
	info := server.InfoMap(ctx)
	switch err := info.Err(); {
	case redis.HasErrorPrefix(err, "NOPERM"):
		found = append(found, "the user lacks the right +info: whether the server evicts keys is not known")
	case err != nil:
		return nil, err
	default:
		if policy := info.Item("Memory", "maxmemory_policy"); policy != "noeviction" {
			found = append(found, fmt.Sprintf(
				"the server may evict keys when it is full (maxmemory-policy %s): revocations and spent one-time ids would be forgotten, and by a policy allkeys-... all keys at once; set noeviction", cmp.Or(word(policy), "unknown")))
		}
	}
	settings := make(map[string]string)
	for _, name := range []string{"save", "appendonly", "appendfsync"} {
		answer, err := server.ConfigGet(ctx, name).Result()
		if refused := redis.Error(nil); errors.As(err, &refused) {
			return append(found, "the server does not tell its configuration (+config|get), as in managed services: make sure that it writes to its disk (appendonly, appendfsync)"), nil
		}
		if err != nil {
			return nil, err
		}
		settings[name] = answer[name]
	}
	switch {
	case settings["appendonly"] == "no" && settings["save"] == "":
		found = append(found, "the server writes nothing to disk: a restart loses everything; set appendonly yes")
	case settings["appendonly"] == "no":
		found = append(found, "the server writes to disk from time to time: a restart loses what came since; set appendonly yes")
	case settings["appendfsync"] != "always":
		found = append(found, fmt.Sprintf(
			"the server acknowledges before it has written to disk (appendfsync %s): a crash of its machine can lose the last second; set always if that matters", word(settings["appendfsync"])))
	}
	return found, nil
}

// word keeps what a server answers short and in one line.
func word(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text[:min(len(text), 40)])
}
