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

// fail names the operation that an error is about; nil stays nil.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", operation, err)
}

// statusError returns the error that the answer of a script that changes records stands
// for.
func statusError(status string) error {
	err, known := map[string]error{
		"ok": nil, "exists": store.ErrExists, "missing": store.ErrNotFound, "conflict": store.ErrConflict, "limit": store.ErrLimit,
	}[status]
	if !known {
		return fmt.Errorf("a script gave an answer that this driver does not know: %w", store.ErrUnavailable)
	}
	return err
}

// outage is a failure of the server or of the way to it. Its text is in words of
// this package: the client's texts hold addresses, and those of servers hold the
// names of keys and users.
type outage struct {
	reason string
	cause  []error
}

func (o *outage) Error() string { return store.ErrUnavailable.Error() + " (" + o.reason + ")" }

// Unwrap shows store.ErrUnavailable, and the context's error if that is why.
func (o *outage) Unwrap() []error { return o.cause }

// failure turns a client's error into one of this package. If a script failed, it is
// given. A Cluster's client is told to ask which server holds what: by itself it asks
// when it is redirected, which a server that died does not do, and once a minute.
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

// reason says what a client's error means. If a script failed, it is given.
func (l layout) reason(err error, s *script) string {
	if strings.Contains(err.Error(), "all sentinels") { // the client's only sign
		return "no sentinel names a master: check MasterName and SentinelAddrs"
	}
	if answer, ok := errors.AsType[redis.Error](err); ok {
		return l.refusal(answer.Error(), s)
	}
	way, broken := errors.AsType[*net.OpError](err)
	for _, known := range []struct {
		is   bool
		text string
	}{
		{errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted), "all connections of the client are in use: check PoolSize"},
		{errors.Is(err, context.Canceled), "the call was canceled"},
		{is[*tls.CertificateVerificationError](err), "the server's certificate is not valid for the name in the client's options, or not signed by an authority that the client trusts"},
		{is[tls.RecordHeaderError](err), "the server speaks no TLS at this port"},
		{is[*net.DNSError](err), "the server's host name cannot be resolved"},
		{errors.Is(err, syscall.ECONNREFUSED), "no server listens at the address"},
		{errors.Is(err, context.DeadlineExceeded) || timedOut(err), "no answer in time"},
		{broken && way.Op == "remote error", "the server ended the TLS handshake: it may ask for a client's certificate"},
		{broken && way.Op == "dial", "the server cannot be reached"},
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
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}

// refusal says what a server's error means.
func (l layout) refusal(text string, s *script) string {
	switch {
	case strings.HasPrefix(text, "NOPERM "), strings.Contains(text, "The user executing the script can't "), strings.Contains(text, "ACL failure in script"):
		return "the user of the client lacks the right " + l.right(text, s.commandsAt(text))
	case strings.HasPrefix(text, "ERR unknown command "), strings.Contains(text, "command called from"):
		return "the server does not know the command " + cmp.Or(quoted(text, "unknown command "), strings.Join(s.commandsAt(text), " or "), "of a script") + ", or has renamed it"
	}
	// A meaning, and how the texts begin that have it.
	for _, known := range [][]string{
		{"the server is a replica and takes no writes", "READONLY "},
		{"the server's memory is full: raise maxmemory", "OOM "},
		{"the server cannot write to its disk and takes no writes", "MISCONF "},
		{"the server has fewer replicas than min-replicas-to-write asks for, and takes no writes", "NOREPLICAS "},
		{"the server is loading its data", "LOADING "},
		{"the server is a replica that has lost its master", "MASTERDOWN "},
		{"the Cluster is down, or none of its nodes serves the slot", "CLUSTERDOWN "},
		{"the slot is moving to another node of the Cluster", "TRYAGAIN ", "ASK "},
		{"another node of the Cluster serves the slot: a Cluster needs redis.NewClusterClient, and for a slot that moves the right +asking", "MOVED "},
		{"the server asks for a password", "NOAUTH ", "ERR Protocol error: unauthenticated"},
		{"the server refuses the user's name or password, or the user is off", "WRONGPASS "},
		{"the client sends a password, and the server has none set", "ERR AUTH "},
		{"the server is in protected mode: it needs a password or another bind address", "DENIED "},
		{"a script of this or another program holds the server up (SCRIPT KILL ends one that has not written)", "BUSY "},
		{"a key under the prefix was written by something else: each store needs a prefix of its own", "WRONGTYPE "},
		{"the server has too many connections: raise maxclients", "ERR max number of clients"},
		{"the server does not have the database that the client selects (a Cluster has only 0)", "ERR DB index", "ERR SELECT is not allowed"},
		{"the server is not part of a Cluster: it needs redis.NewClient", "ERR This instance has cluster support disabled"},
	} {
		for _, begin := range known[1:] {
			// In a script, servers before 7 put the error into one of their own.
			if strings.HasPrefix(text, begin) || strings.Contains(text, "-"+begin) {
				return known[0]
			}
		}
	}
	if strings.Contains(text, "user_script:") {
		return "a script failed, as at a record that something else has written"
	}
	return "the server refuses the call"
}

// right is what a user must be given, as ACL SETUSER takes it.
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

// commandsAt are the commands that the script calls in the line where the error is. Redis
// 6 and 7.0 do not say which command they refuse there.
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

// quoted is the name in quotes behind a part of a server's text.
func quoted(text, behind string) string {
	_, rest, _ := strings.Cut(text, behind)
	if rest == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return strings.ToLower(word(name))
}
