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

// Check reads the settings of every master and returns the problems, one sentence each.
// It also logs them as warnings. Without a problem, no master evicts keys, and each
// writes to disk at once. The first Watch of a Driver calls Check.
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

// findings returns the problems of one server.
func findings(ctx context.Context, server *redis.Client) (found []string, err error) {
	info := server.InfoMap(ctx)
	switch err := info.Err(); {
	case redis.HasErrorPrefix(err, "NOPERM"):
		found = append(found, "it is unknown whether the server evicts keys: the user lacks the right +info")
	case err != nil:
		return nil, err
	default:
		if policy := info.Item("Memory", "maxmemory_policy"); policy != "noeviction" {
			found = append(found, fmt.Sprintf(
				"the server may evict keys when it is full (maxmemory-policy %s): revocations and spent one-time ids would be lost, and with an allkeys policy all records at once; set maxmemory-policy noeviction", cmp.Or(printable(policy), "unknown")))
		}
	}
	settings := make(map[string]string)
	for _, name := range []string{"save", "appendonly", "appendfsync"} {
		answer, err := server.ConfigGet(ctx, name).Result()
		if refused := redis.Error(nil); errors.As(err, &refused) {
			return append(found, "the server does not show its configuration (right +config|get), as is usual for managed services: make sure that it writes to disk (appendonly, appendfsync)"), nil
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
		found = append(found, "the server saves only snapshots: a restart loses the changes since the last one; set appendonly yes")
	case settings["appendfsync"] != "always":
		found = append(found, fmt.Sprintf(
			"the server acknowledges changes before they are on disk (appendfsync %s): a crash of its machine can lose the last second; to prevent that, set appendfsync always", printable(settings["appendfsync"])))
	}
	return found, nil
}

// printable returns up to 40 bytes of a server's text, without spaces and characters that
// are not printable ASCII.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text[:min(len(text), 40)])
}
