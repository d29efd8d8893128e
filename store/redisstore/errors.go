package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// fail adds the operation to an error; nil stays nil.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", operation, err)
}

// statusError returns the error for the status that a changing script answered.
func statusError(status string) error {
	err, known := map[string]error{
		"ok": nil, "exists": store.ErrExists, "missing": store.ErrNotFound, "conflict": store.ErrConflict, "limit": store.ErrLimit,
		"credential exists": store.ErrCredentialExists,
	}[status]
	if !known {
		return fmt.Errorf("unexpected answer of a script: %w", store.ErrUnavailable)
	}
	return err
}

// outage is a failure of the server or of the connection to it. Its text is this
// package's own, since the client's texts contain addresses, and servers' texts contain
// the names of keys and users.
type outage struct {
	reason string
	cause  []error
}

func (o *outage) Error() string { return store.ErrUnavailable.Error() + " (" + o.reason + ")" }

// Unwrap returns store.ErrUnavailable, and the context's error if that was the cause.
func (o *outage) Unwrap() []error { return o.cause }

// failure turns a client's error into an outage. s is the script that failed, or nil. It
// also makes a Cluster's client reload the slot map. By itself the client reloads once a
// minute and when it is redirected, which a server that is down does not do.
func (db *Driver) failure(ctx context.Context, err error, s *script) error {
	if cluster, ok := db.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	o := &outage{reason: db.layout.reason(err, s), cause: []error{store.ErrUnavailable}}
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, ended) || errors.Is(ctx.Err(), ended) {
			o.cause = append(o.cause, ended)
		}
	}
	return o
}

// reason describes a client's error. s is the script that failed, or nil.
func (l layout) reason(err error, s *script) string {
	if strings.Contains(err.Error(), "all sentinels") { // the client has no other sign
		return "no sentinel names a master: check MasterName and SentinelAddrs"
	}
	if answer, ok := errors.AsType[redis.Error](err); ok {
		return l.refusal(answer.Error(), s)
	}
	operation, broken := errors.AsType[*net.OpError](err)
	for _, known := range []struct {
		is   bool
		text string
	}{
		{errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted), "all connections of the client are in use: check PoolSize"},
		{errors.Is(err, context.Canceled), "the call was canceled"},
		{is[*tls.CertificateVerificationError](err), "the server's certificate is not valid for the name in the client's options, or not signed by an authority that the client trusts"},
		{is[tls.RecordHeaderError](err), "the server does not use TLS at this port"},
		{is[*net.DNSError](err), "the server's host name cannot be resolved"},
		{errors.Is(err, syscall.ECONNREFUSED), "no server listens at the address"},
		{errors.Is(err, context.DeadlineExceeded) || timedOut(err), "no answer in time"},
		{broken && operation.Op == "remote error", "the server ended the TLS handshake: it may require a client certificate"},
		{broken && operation.Op == "dial", "the server cannot be reached"},
		{errors.Is(err, redis.ErrClosed), "the client is closed"},
		{broken || errors.Is(err, io.EOF), "the connection broke"},
	} {
		if known.is {
			return known.text
		}
	}
	return "the client failed"
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func timedOut(err error) bool {
	failure, ok := errors.AsType[net.Error](err)
	return ok && failure.Timeout()
}

// refusal describes an error that a server answered.
func (l layout) refusal(text string, s *script) string {
	switch {
	case strings.HasPrefix(text, "NOPERM "), strings.Contains(text, "The user executing the script can't "), strings.Contains(text, "ACL failure in script"):
		return "the user of the client lacks the right " + l.right(text, s.commandsAt(text))
	case strings.HasPrefix(text, "ERR unknown command "), strings.Contains(text, "command called from"):
		return "the server does not know the command " + cmp.Or(quoted(text, "unknown command "), strings.Join(s.commandsAt(text), " or "), "of a script") + ", or has renamed it"
	}
	// Each entry is a description and the prefixes of the texts that it describes.
	for _, known := range [][]string{
		{"the server is a replica and takes no writes: connect to the master", "READONLY "},
		{"the server's memory is full: raise maxmemory", "OOM "},
		{"the server cannot write to its disk and takes no writes", "MISCONF "},
		{"the server has fewer replicas than min-replicas-to-write requires, and takes no writes", "NOREPLICAS "},
		{"the server is loading its data", "LOADING "},
		{"the server is a replica that has lost its master", "MASTERDOWN "},
		{"the Cluster is down, or none of its nodes serves the slot", "CLUSTERDOWN "},
		{"the slot is moving to another node of the Cluster", "TRYAGAIN ", "ASK "},
		{"another node of the Cluster serves the slot: use redis.NewClusterClient, and grant +asking for slots that move", "MOVED "},
		{"the server requires a password: set it in the client's options", "NOAUTH ", "ERR Protocol error: unauthenticated"},
		{"the server refuses the user's name or password, or the user is disabled", "WRONGPASS "},
		{"the client sends a password, but the server has none: set one at the server", "ERR AUTH "},
		{"the server is in protected mode: set a password or another bind address", "DENIED "},
		{"a script blocks the server: SCRIPT KILL ends it unless it has written", "BUSY "},
		{"another program wrote a key under the prefix: give each store its own prefix", "WRONGTYPE "},
		{"the server has too many connections: raise maxclients", "ERR max number of clients"},
		{"the server does not have the database that the client selects (a Cluster has only 0)", "ERR DB index", "ERR SELECT is not allowed"},
		{"the server is not part of a Cluster: use redis.NewClient", "ERR This instance has cluster support disabled"},
	} {
		for _, begin := range known[1:] {
			// Before version 7, an error in a script is part of another error's text.
			if strings.HasPrefix(text, begin) || strings.Contains(text, "-"+begin) {
				return known[0]
			}
		}
	}
	if strings.Contains(text, "user_script:") {
		return "a script failed: another program may have changed a record"
	}
	return "the server refused the call"
}

// right returns the right that a user lacks, as an argument of ACL SETUSER.
func (l layout) right(text string, commands []string) string {
	command := quoted(text, "run the ")
	switch {
	case command != "":
		return "+" + command
	case strings.Contains(text, "channel"):
		return "&" + l.channel()
	case strings.Contains(text, " key"):
		return "~" + l.prefix + ":*"
	case len(commands) > 0:
		return "+" + strings.Join(commands, " or +")
	}
	return "to a command that the scripts call"
}

// commandsAt returns the commands that the script calls in the line of the error. Redis 6
// and 7.0 do not name the command that they refuse.
func (s *script) commandsAt(text string) (commands []string) {
	var number int
	_, place, _ := strings.Cut(text, "@user_script:")
	if _, err := fmt.Sscanf(place, "%d", &number); s == nil || err != nil {
		return nil
	}
	lines := strings.Split(s.text, "\n")
	if number < 1 || number > len(lines) {
		return nil
	}
	calls, begin := lines[number-1], "redis.call('"
	if !strings.Contains(calls, begin) {
		calls, begin = s.text, "later('" // in flush of change.lua
	}
	for _, call := range strings.Split(calls, begin)[1:] {
		command, _, _ := strings.Cut(strings.ToLower(call), "'")
		if !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	return commands
}

// quoted returns the quoted name that follows the given part of a server's text.
func quoted(text, part string) string {
	_, rest, _ := strings.Cut(text, part)
	if rest == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return strings.ToLower(printable(name))
}
