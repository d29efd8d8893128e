package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Check asks every master how well it keeps what it is given, and returns what
// is not as it should be, one sentence each; it also logs them as warnings.
// None means: no master evicts keys, and each writes to disk at once. The
// first Watch of a Driver does the same.
func (d *Driver) Check(ctx context.Context) ([]string, error) {
	findings, err := d.db.check(ctx)
	if err != nil {
		return nil, fail("check the servers", err)
	}
	for _, finding := range findings {
		d.db.log.WarnContext(ctx, "redisstore: "+finding)
	}
	return findings, nil
}

// checkOnce is Check for whom nobody waits.
func (db *database) checkOnce(ctx context.Context) {
	d := Driver{db}
	if _, err := d.Check(ctx); err != nil {
		db.log.WarnContext(ctx, "redisstore: the servers could not be checked", "error", err)
	}
}

func (db *database) check(ctx context.Context) ([]string, error) {
	cluster, ok := db.client.(*redis.ClusterClient)
	if !ok {
		return findings(ctx, db.client)
	}
	var mu sync.Mutex
	seen := make(map[string]bool)
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found, err := findings(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, finding := range found {
			if !seen[finding] {
				seen[finding] = true
				all = append(all, finding)
			}
		}
		return err
	})
	if err != nil {
		return nil, outageOf(ctx, err)
	}
	return all, nil
}

// findings are about one server. One that refuses to tell is reported, too.
func findings(ctx context.Context, server redis.Cmdable) ([]string, error) {
	settings := make(map[string]string)
	for _, name := range []string{"maxmemory-policy", "save", "appendonly", "appendfsync"} {
		answer, err := server.ConfigGet(ctx, name).Result()
		if err != nil {
			if refused := redis.Error(nil); !errors.As(err, &refused) {
				return nil, outageOf(ctx, err)
			}
			return []string{"the server does not tell its configuration: see to it yourself that it evicts no keys and writes to disk"}, nil
		}
		settings[name] = answer[name]
	}
	var found []string
	if policy := settings["maxmemory-policy"]; policy != "noeviction" {
		found = append(found, fmt.Sprintf(
			"the server may evict keys when it is full (maxmemory-policy %s): spent one-time ids and deleted keys would be forgotten; set noeviction", word(policy)))
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
