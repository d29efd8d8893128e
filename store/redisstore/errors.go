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

func (db *database) outage(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	o := &outage{reason: db.layout.reason(err), cause: []error{store.ErrUnavailable}}
	switch {
	case ctx.Err() != nil:
		o.cause = append(o.cause, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		o.cause = append(o.cause, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		o.cause = append(o.cause, context.Canceled)
	}
	return o
}

func (l layout) reason(err error) string {
	var (
		answer redis.Error
		script *scriptError
		name   *net.DNSError
		cert   *tls.CertificateVerificationError
		plain  tls.RecordHeaderError
		way    *net.OpError
		late   net.Error
	)
	errors.As(err, &way)
	switch {
	case errors.As(err, &script):
		return l.refusal(script.text, script.commands)
	case strings.Contains(err.Error(), "all sentinels"): // the client's only sign
		return "no sentinel names a master: check MasterName and SentinelAddrs"
	case errors.As(err, &answer):
		return l.refusal(answer.Error(), nil)
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections of the client are in use: check PoolSize"
	case errors.Is(err, context.Canceled):
		return "the call was canceled"
	case errors.As(err, &cert):
		return "the server's certificate is not valid for the name in the client's options, or not signed by an authority that the client trusts"
	case errors.As(err, &plain):
		return "the server speaks no TLS at this port"
	case errors.As(err, &name):
		return "the server's host name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no server listens at the address"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "no answer in time"
	case way != nil && way.Op == "remote error":
		return "the server ended the TLS handshake: it may ask for a client's certificate"
	case way != nil && way.Op == "dial":
		return "the server cannot be reached"
	case errors.Is(err, redis.ErrClosed):
		return "the client is closed"
	case errors.Is(err, io.EOF), way != nil:
		return "the connection broke"
	}
	return "the client failed"
}

// scriptError is an error inside of a script, with the commands that the script
// calls in the line where it failed.
type scriptError struct {
	text     string
	commands []string
}

func (e *scriptError) Error() string { return e.text }

// located adds the commands of its line to an error inside of the script. Redis 6
// and 7.0 do not say which command they refuse there.
func (s *script) located(err error) error {
	var answer redis.Error
	if s == nil || !errors.As(err, &answer) {
		return err
	}
	var number int
	_, place, _ := strings.Cut(answer.Error(), "@user_script:")
	lines := strings.Split(s.text, "\n")
	if _, bad := fmt.Sscanf(place, "%d", &number); bad != nil || number < 1 || number > len(lines) {
		return err
	}
	found := &scriptError{text: answer.Error()}
	text, begin := lines[number-1], "redis.call('"
	if !strings.Contains(text, begin) {
		text, begin = s.text, "later('" // in flush of change.lua
	}
	for _, call := range strings.Split(text, begin)[1:] {
		command, _, _ := strings.Cut(strings.ToLower(call), "'")
		if !slices.Contains(found.commands, command) {
			found.commands = append(found.commands, command)
		}
	}
	return found
}

// refusal says what a server's error means. commands are those that a script may
// have failed at.
func (l layout) refusal(text string, commands []string) string {
	switch {
	case strings.HasPrefix(text, "NOPERM "), strings.Contains(text, "The user executing the script can't "), strings.Contains(text, "ACL failure in script"):
		return "the user of the client lacks the right " + l.right(text, commands)
	case strings.HasPrefix(text, "ERR unknown command "), strings.Contains(text, "command called from"):
		return "the server does not know the command " + cmp.Or(quoted(text, "unknown command "), strings.Join(commands, " or "), "of a script") + ", or has renamed it"
	}
	for _, known := range [][2]string{
		{"READONLY ", "the server is a replica and takes no writes"},
		{"OOM ", "the server's memory is full: raise maxmemory"},
		{"MISCONF ", "the server cannot write to its disk and takes no writes"},
		{"NOREPLICAS ", "the server has fewer replicas than min-replicas-to-write asks for, and takes no writes"},
		{"LOADING ", "the server is loading its data"},
		{"MASTERDOWN ", "the server is a replica that has lost its master"},
		{"CLUSTERDOWN ", "the Cluster is down, or none of its nodes serves the slot"},
		{"TRYAGAIN ", "the slot is moving to another node of the Cluster"},
		{"ASK ", "the slot is moving to another node of the Cluster"},
		{"MOVED ", "another node of the Cluster serves the slot: a Cluster needs redis.NewClusterClient, and for a slot that moves the right +asking"},
		{"NOAUTH ", "the server asks for a password"},
		{"ERR Protocol error: unauthenticated", "the server asks for a password"},
		{"WRONGPASS ", "the server refuses the user's name or password, or the user is off"},
		{"ERR invalid password", "the server refuses the password"},
		{"ERR AUTH ", "the client sends a password, and the server has none set"},
		{"DENIED ", "the server is in protected mode: it needs a password or another bind address"},
		{"BUSY ", "a script of this or another program holds the server up (SCRIPT KILL ends one that has not written)"},
		{"NOSCRIPT ", "the server does not keep scripts"},
		{"NOGOODSLAVE ", "the sentinels find no replica that could take over"},
		{"EXECABORT ", "the server gave a transaction up"},
		{"WRONGTYPE ", "a key under the prefix was written by something else: each store needs a prefix of its own"},
		{"ERR max number of clients", "the server has too many connections: raise maxclients"},
		{"ERR DB index", "the server does not have the database that the client selects (a Cluster has only 0)"},
		{"ERR SELECT is not allowed", "the server does not have the database that the client selects (a Cluster has only 0)"},
		{"ERR This instance has cluster support disabled", "the server is not part of a Cluster: it needs redis.NewClient"},
	} {
		// In a script, servers before 7 put the error into one of their own.
		if strings.HasPrefix(text, known[0]) || strings.Contains(text, "-"+known[0]) {
			return known[1]
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

// quoted is the name in quotes behind a part of a server's text.
func quoted(text, behind string) string {
	_, rest, _ := strings.Cut(text, behind)
	if rest == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return strings.ToLower(word(name))
}

// statuses are what scripts answer.
func statusError(status string) error {
	switch status {
	case "ok":
		return nil
	case "exists":
		return store.ErrExists
	case "missing":
		return store.ErrNotFound
	case "conflict":
		return store.ErrConflict
	case "limit":
		return store.ErrLimit
	}
	return fmt.Errorf("unknown answer: %w", store.ErrUnavailable)
}
