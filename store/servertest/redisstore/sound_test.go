package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// inspector reads what lies under a prefix behind the driver's back.
type inspector struct {
	*testing.T
	client redis.UniversalClient
	prefix string
}

// found is what lies in a workspace, by id.
type found struct {
	keys   map[string]bool
	tombs  map[string]string
	events map[string]bool
}

// inspect checks that all that lies under a prefix fits together: every order,
// count and pointer is worked out anew from the records.
func inspect(t *testing.T, client redis.UniversalClient, prefix string) map[string]found {
	t.Helper()
	i := inspector{t, client, prefix}
	names := i.names()
	workspaces := make(map[string]found)
	for _, name := range names {
		i.lifetime(name)
		if tag, what, _ := strings.Cut(name, "}:"); strings.HasPrefix(tag, "{w:") && slices.Contains([]string{"keys", "tombs", "trail"}, what) {
			workspace := i.plain(strings.TrimPrefix(tag, "{w:"))
			if _, seen := workspaces[workspace]; !seen {
				workspaces[workspace] = i.workspace(workspace, tag+"}:")
			}
		}
	}
	var listed []string
	for _, name := range names {
		if strings.HasPrefix(name, "spaces:") {
			listed = append(listed, i.members(name)...)
		}
		if strings.HasPrefix(name, "id:") {
			i.pointer(name, workspaces)
		}
	}
	for workspace := range workspaces {
		require.Contains(t, listed, "w:"+i.plain(workspace), "in the list of all workspaces")
	}
	return workspaces
}

// names lists all keys, of all masters.
func (i inspector) names() (names []string) {
	i.Helper()
	var mu sync.Mutex
	scan := func(ctx context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		keys := node.Scan(ctx, 0, i.prefix+":*", 1000).Iterator()
		for keys.Next(ctx) {
			names = append(names, strings.TrimPrefix(keys.Val(), i.prefix+":"))
		}
		return keys.Err()
	}
	switch c := i.client.(type) {
	case *redis.Client:
		require.NoError(i, scan(context.Background(), c))
	case *redis.ClusterClient:
		require.NoError(i, c.ForEachMaster(context.Background(), scan))
	}
	return names
}

// lifetime: what decides lasts, and what only helps does not.
func (i inspector) lifetime(name string) {
	i.Helper()
	left, err := i.client.PTTL(context.Background(), i.prefix+":"+name).Result()
	require.NoError(i, err)
	if left == -2 {
		return // it ended just now
	}
	what := name[strings.LastIndexByte(name, '}')+1:]
	kind, _, _ := strings.Cut(strings.TrimPrefix(what, ":"), ":")
	switch kind {
	case "keys", "used", "created", "names", "tombs", "settings", "trail", "events", "elsewhere", "spaces", "ring", "stream",
		"days", "day", "open", "began":
		require.EqualValues(i, -1, left, "%s must last", name)
	case "receipt", "once", "event", "limit", "revoked", "counted", "waited":
		require.Positive(i, left, "%s must end", name)
	case "id": // see pointer
	default:
		i.Errorf("what is %s?", name)
	}
}

func (i inspector) workspace(workspace, tag string) found {
	i.Helper()
	ctx, at := context.Background(), func(what string) string { return i.prefix + ":" + tag + what }
	hash := func(what string) map[string]string {
		all, err := i.client.HGetAll(ctx, at(what)).Result()
		require.NoError(i, err)
		return all
	}
	f := found{keys: make(map[string]bool), tombs: hash("tombs"), events: make(map[string]bool)}
	uses := hash("used")
	var byCreated, byName []string
	for id, record := range hash("keys") {
		require.NotContains(i, f.tombs, id, "a key and its tombstone")
		f.keys[id] = true
		created, name := i.places(record)
		byCreated, byName = append(byCreated, created+id), append(byName, name+"\x00\x01"+id)
		delete(uses, id)
	}
	require.Empty(i, uses, "uses of keys that are gone")
	require.ElementsMatch(i, byCreated, i.sorted(tag+"created"), "order by creation of %s", workspace)
	require.ElementsMatch(i, byName, i.sorted(tag+"names"), "order by name of %s", workspace)
	var trail []string
	for id, text := range hash("events") {
		words := strings.Split(text, " ")
		require.Greater(i, len(words), 7, "the event %q", text)
		require.Equal(i, id, words[1])
		f.events[id] = true
		at, err := strconv.ParseInt(words[0], 10, 64)
		require.NoError(i, err)
		trail = append(trail, sortable(at)+id)
	}
	require.ElementsMatch(i, trail, i.sorted(tag+"trail"), "trail of %s", workspace)
	return f
}

// places reads from a key's record when it was made, as it is sorted, and its
// name.
func (i inspector) places(record string) (created, name string) {
	i.Helper()
	lines := strings.Split(record, "\n")
	require.Greater(i, len(lines), 6, "the record %q", record)
	made, body := strings.Split(lines[1], " "), strings.Split(lines[2], " ")
	require.Len(i, made, 5, "birth, creation, creator's kind and id, depth: %q", lines[1])
	require.Len(i, body, 5, "state, change, expiry, expiry as text, name: %q", lines[2])
	at, err := strconv.ParseUint(made[1], 16, 64)
	require.NoError(i, err)
	require.Equal(i, made[1], sortable(int64(at^1<<63)))
	return made[1], i.plain(body[4])
}

// sortable are microseconds since 1970 as 16 digits whose byte order is that of
// time.
func sortable(micros int64) string { return fmt.Sprintf("%016x", uint64(micros)^1<<63) }

// plain is text in which the driver had nothing to escape: what this reader
// cannot read does not occur in the tests.
func (i inspector) plain(text string) string {
	i.Helper()
	require.NotContains(i, text, "%")
	return text
}

func (i inspector) sorted(name string) []string {
	i.Helper()
	all, err := i.client.ZRange(context.Background(), i.prefix+":"+name, 0, -1).Result()
	require.NoError(i, err)
	return all
}

func (i inspector) members(name string) []string {
	i.Helper()
	all, err := i.client.SMembers(context.Background(), i.prefix+":"+name).Result()
	require.NoError(i, err)
	return all
}

// pointer: one that lasts leads to the only key of its id, or to a tombstone,
// or to nothing; one that does not last leads to nothing.
func (i inspector) pointer(name string, workspaces map[string]found) {
	i.Helper()
	id := i.plain(strings.TrimPrefix(name, "id:"))
	value, err := i.client.Get(context.Background(), i.prefix+":"+name).Result()
	if errors.Is(err, redis.Nil) {
		return
	}
	require.NoError(i, err)
	left, err := i.client.PTTL(context.Background(), i.prefix+":"+name).Result()
	require.NoError(i, err)
	state, rest, _ := strings.Cut(value, " ")
	_, workspace, _ := strings.Cut(rest, " ")
	require.Equal(i, state == "=", left == -1*time.Nanosecond, "%s is %q for %s", name, value, left)
	for other, f := range workspaces {
		if f.keys[id] {
			require.Equal(i, i.plain(workspace), other, "where %s leads to", name)
			require.Equal(i, "=", state, "%s leads to a key", name)
		}
	}
}
