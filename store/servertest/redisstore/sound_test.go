package redisstore_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The inspector knows every kind of Redis key.
func TestEveryKindOfKey(t *testing.T) {
	client := sharedClient(t)
	prefix, ctx := newPrefix(t, client), t.Context()
	s := newDriver(t, client, redisstore.Config{Prefix: prefix, WaitReplicas: 1, WaitTimeout: 10 * time.Millisecond}).Store()
	require.ErrorIs(t, s.OnceIDs.Spend(ctx, store.OnceID{ID: "id", Expires: noon.Add(time.Hour)}, noon), store.ErrUnavailable, "the call waits for a replica")
	s = newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	create(t, s, "team-a", "key-1")
	create(t, s, "team-a", "key-2")
	create(t, s, "team-b", "key-3")
	require.NoError(t, s.Keys.Delete(ctx, "team-a", "key-1", 0, noon, store.Change{}))
	require.NoError(t, s.Settings.DeleteWorkspace(ctx, "team-c", noon, store.Change{}), "the server has the script")
	dying, h := connected(t, prefix)
	h.left.Store(1)
	require.NoError(t, dying.Settings.DeleteWorkspace(ctx, "team-b", noon, store.Change{}))
	require.True(t, h.died(), "the keys are not removed yet")
	require.NoError(t, s.Events.Append(ctx, store.Event{ID: "event-1", Time: noon, Workspace: "team-a"}))
	require.NoError(t, s.Epochs.Revoke(ctx, "token-1", noon.Add(time.Hour), noon))
	require.NoError(t, s.SigningKeys.SetRing(ctx, store.Ring{}))
	require.NoError(t, s.HostLists.Record(ctx, store.ListEntry{List: store.Signers, Name: "signer"}))
	require.NoError(t, s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "key-2", Day: noon, Logins: 1}}))
	_, moved, err := s.Limiter.Advance(ctx, "login", noon, time.Second, time.Minute)
	require.NoError(t, err)
	require.True(t, moved)
	inspect(t, client, prefix)
	kinds := lifetimes()
	for _, name := range (inspector{t, client, prefix}).names() {
		delete(kinds, kindOf(name))
	}
	require.Empty(t, kinds)
}

// inspector reads the data under a prefix directly, without the driver.
type inspector struct {
	*testing.T
	client redis.UniversalClient
	prefix string
}

// found is the data of a workspace, by id.
type found struct {
	keys   map[string]bool
	events map[string]bool
}

// inspect checks that all data under a prefix is consistent: it recomputes every sorted
// set and every count from the records.
func inspect(t *testing.T, client redis.UniversalClient, prefix string) map[string]found {
	t.Helper()
	i, workspaces := inspector{t, client, prefix}, make(map[string]found)
	orders, logs := i.keys(workspaces), i.events(workspaces)
	gotOrders, gotLogs := make(map[string][]string), make(map[string][]string)
	for _, name := range i.names() {
		i.lifetime(name)
		switch what := strings.TrimPrefix(name, "{"+prefix+"}:"); lastPart(what) {
		case "created", "names", "ends", "tombstones", "workspaces":
			gotOrders[i.plain(what)] = i.sorted(what)
		case "log":
			gotLogs[i.plain(what)] = i.sorted(what)
		}
	}
	require.Equal(t, orders, gotOrders, "the sorted sets of keys, tombstones and workspaces")
	require.Equal(t, logs, gotLogs, "the sorted sets of events")
	return workspaces
}

// names returns all Redis keys of all masters.
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

// record returns the name of a Redis key in the slot of the records.
func (i inspector) record(what string) string { return i.prefix + ":{" + i.prefix + "}:" + what }

func lastPart(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// lifetimes returns the longest time to live of each kind of Redis key. 0 means that keys
// of the kind must not expire.
func lifetimes() map[string]time.Duration {
	const long = 100 * 365 * 24 * time.Hour
	return map[string]time.Duration{
		"keys": 0, "credentials": 0, "created": 0, "names": 0, "ends": 0, "workspaces": 0, "settings": 0, "counts": 0, "deleting": 0, "tombstones": 0, "events": 0, "log": 0,
		"stream": 0, "ring": 0, "lists": 0, "days": 0, "day": 0,
		"done": time.Minute, "limit": time.Hour, "once": long, "revoked": long,
	}
}

// kindOf returns the kind of the Redis key with the given name.
func kindOf(name string) string {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(name[strings.LastIndexByte(name, '}')+1:], ":"), ":")
	if kind == "w" {
		return lastPart(rest)
	}
	return kind
}

func (i inspector) lifetime(name string) {
	i.Helper()
	left, err := i.client.PTTL(context.Background(), i.prefix+":"+name).Result()
	require.NoError(i, err)
	if left == -2 {
		return // it expired just now
	}
	most, known := lifetimes()[kindOf(name)]
	require.True(i, known, "the kind of %s is not known", name)
	if most == 0 {
		require.EqualValues(i, -1, left, "%s must not expire", name)
		return
	}
	require.Positive(i, left, "%s must expire", name)
	require.LessOrEqual(i, left, most, "%s must expire in time", name)
}

// keys reads all keys, tombstones and settings, and returns the sorted sets that should
// exist.
func (i inspector) keys(workspaces map[string]found) map[string][]string {
	i.Helper()
	deleted, counts, known := i.deleted(), make(map[string]int), make(map[string]bool)
	for field := range i.hash("settings") {
		if workspace, is := strings.CutPrefix(field, "w"); is {
			known[i.plain(workspace)] = true
		}
	}
	orders, credentials, entries := make(map[string][]string), make(map[string]string), i.hash("credentials")
	place := func(order, place string) { orders[order] = append(orders[order], place) }
	for id, record := range i.hash("keys") {
		if when, buried := strings.CutPrefix(record, "-"); buried {
			require.Len(i, when, 16, "the tombstone of %s", id)
			place("tombstones", when+id)
			continue
		}
		workspace, created, end, name := i.places(record)
		_, dying := deleted[workspace]
		for _, line := range strings.Split(record, "\n")[2:] {
			credential, _, _ := strings.Cut(line, " ")
			if !dying {
				require.NotContains(i, credentials, credential, "two keys have one credential")
				credentials[credential] = id
			} else if entries[credential] == id {
				delete(entries, credential) // the sweep will remove it
			}
		}
		for _, of := range []string{"", "w:" + workspace + ":"} {
			place(of+"created", created+id)
			place(of+"names", name+"\x00\x01"+id)
			place(of+"ends", end+id)
		}
		if swept, is := deleted[workspace]; is {
			require.False(i, swept, "%s of the deleted workspace %s was not removed", id, workspace)
			continue
		}
		counts[workspace]++
		known[workspace] = true
		i.of(workspaces, workspace).keys[id] = true
	}
	require.Equal(i, credentials, entries, "the keys of the credentials")
	for workspace := range known {
		place("workspaces", workspace+"\x00\x01"+url.PathEscape(workspace))
	}
	for _, order := range orders {
		slices.Sort(order)
	}
	got := make(map[string]int)
	for workspace, text := range i.hash("counts") {
		n, err := strconv.Atoi(text)
		require.NoError(i, err)
		got[i.plain(workspace)] = n
	}
	require.Equal(i, counts, got, "the number of keys of each workspace")
	return orders
}

// deleted returns the deleted workspaces, and whether all of their keys should be
// removed by now.
func (i inspector) deleted() map[string]bool {
	i.Helper()
	deleted := make(map[string]bool)
	settings := i.hash("settings")
	require.Equal(i, settings["i"] != "", settings["r"] != "", "reminders are saved with the instance")
	if text := settings["r"]; text != "" {
		require.Regexp(i, `^[01]( -?\d+){0,8}$`, text, "the reminders")
	}
	delete(settings, "r")
	for field, text := range settings {
		words := strings.Split(text, " ")
		require.Greater(i, len(words), 8, "the settings %q", text)
		version, err := strconv.Atoi(words[0])
		require.NoError(i, err)
		require.Positive(i, version)
		if workspace, is := strings.CutPrefix(field, "w"); is && words[2] == "1" {
			deleted[i.plain(workspace)] = true
		}
	}
	for workspace, when := range i.hash("deleting") {
		require.Len(i, when, 16)
		require.Contains(i, deleted, i.plain(workspace))
		deleted[i.plain(workspace)] = false
	}
	return deleted
}

// events reads all events, and returns the sorted sets that should exist.
func (i inspector) events(workspaces map[string]found) map[string][]string {
	i.Helper()
	logs := make(map[string][]string)
	for id, text := range i.hash("events") {
		words := strings.Split(text, " ")
		require.GreaterOrEqual(i, len(words), 10, "the event %q", text)
		place := i.instant(words[0]) + id
		logs["log"] = append(logs["log"], place)
		if workspace := i.plain(words[4]); workspace != "" {
			i.of(workspaces, workspace).events[id] = true
			logs["w:"+workspace+":log"] = append(logs["w:"+workspace+":log"], place)
		}
	}
	for _, log := range logs {
		slices.Sort(log)
	}
	return logs
}

func (i inspector) of(workspaces map[string]found, workspace string) found {
	if _, is := workspaces[workspace]; !is {
		workspaces[workspace] = found{keys: make(map[string]bool), events: make(map[string]bool)}
	}
	return workspaces[workspace]
}

// places returns from a key's record its workspace, its time of creation and its expiry as
// they are sorted, and its name.
func (i inspector) places(record string) (workspace, created, end, name string) {
	i.Helper()
	lines := strings.Split(record, "\n")
	require.Greater(i, len(lines), 1, "the record %q", record)
	made, body := strings.Split(lines[0], " "), strings.Split(lines[1], " ")
	require.Len(i, made, 8, "version, epoch, workspace, creation, creator's kind and id, depth, last use: %q", lines[0])
	require.Greater(i, len(body), 6, "state, change, expiry, expiry as text, name, permissions, those asked for: %q", lines[1])
	for _, credential := range lines[2:] {
		require.Regexp(i, `^[^ ]+( [^ ]*){10}( k [^ ]+ [01] [01]| t [^ ]+( [^ ]+ [^ ]*)*)?$`, credential, "id, expiry, last use, digest, creation, creator's kind and id, prefix, hint, whether generated, name; a public key or a trust")
	}
	if end = "ffffffffffffffff"; body[2] != "" { // never
		end = i.instant(body[2])
	}
	return i.plain(made[2]), i.instant(made[3]), end, i.plain(body[4])
}

// instant checks that a text is a time of 16 digits, and returns it.
func (i inspector) instant(text string) string {
	i.Helper()
	at, err := strconv.ParseUint(text, 16, 64)
	require.NoError(i, err)
	require.Equal(i, fmt.Sprintf("%016x", at), text)
	return text
}

// plain decodes a word of a record or of a Redis key.
func (i inspector) plain(word string) string {
	i.Helper()
	text, err := url.PathUnescape(word)
	require.NoError(i, err)
	return text
}

func (i inspector) hash(what string) map[string]string {
	i.Helper()
	all, err := i.client.HGetAll(context.Background(), i.record(what)).Result()
	require.NoError(i, err)
	return all
}

func (i inspector) sorted(what string) (members []string) {
	i.Helper()
	all, err := i.client.ZRangeWithScores(context.Background(), i.record(what), 0, -1).Result()
	require.NoError(i, err)
	for _, z := range all {
		require.Zero(i, z.Score, "%s is sorted by its members", what)
		members = append(members, fmt.Sprint(z.Member))
	}
	return members
}
