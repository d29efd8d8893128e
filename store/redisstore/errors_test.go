package redisstore_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// silent is a logger that discards the client's messages about refused connections.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	m.Run()
}

// private lists texts in servers' errors that the driver's errors must not contain.
var private = []string{"10.1.2.3", "6379", "alice", "latchkey:{latchkey}:keys", "8d985dbc", "user_script", "ERR"}

// The error that a server answers is turned into a description.
func TestServerErrors(t *testing.T) {
	const moving = "the slot is moving to another node of the Cluster"
	for _, try := range []struct{ answer, want string }{
		{"READONLY You can't write against a read only replica.", "the server is a replica and takes no writes: connect to the master"},
		{"READONLY You can't write against a read only replica. script: 8d985dbc, on @user_script:9999.", "the server is a replica and takes no writes: connect to the master"},
		{"ERR Error running script (call to f_8d985dbc): @user_script:9999: @user_script: 9999: -READONLY You can't write against a read only replica.",
			"the server is a replica and takes no writes: connect to the master"},
		{"OOM command not allowed when used memory > 'maxmemory'.", "the server's memory is full: raise maxmemory"},
		{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "the server cannot write to its disk and takes no writes"},
		{"NOREPLICAS Not enough good replicas to write.", "the server has fewer replicas than min-replicas-to-write requires, and takes no writes"},
		{"LOADING Redis is loading the dataset in memory", "the server is loading its data"},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "the server is a replica that has lost its master"},
		{"CLUSTERDOWN Hash slot not served", "the Cluster is down, or none of its nodes serves the slot"},
		{"MOVED 3999 10.1.2.3:6379", "another node of the Cluster serves the slot: use redis.NewClusterClient, and grant +asking for slots that move"},
		{"ASK 3999 10.1.2.3:6379", moving},
		{"TRYAGAIN Multiple keys request during rehashing of slot", moving},
		{"NOAUTH Authentication required.", "the server requires a password: set it in the client's options"},
		{"WRONGPASS invalid username-password pair or user is disabled.", "the server refuses the user's name or password, or the user is disabled"},
		{"ERR invalid password", "the server refused the call"},
		{"ERR AUTH <password> called without any password configured for the default user.", "the client sends a password, but the server has none: set one at the server"},
		{"DENIED Redis is running in protected mode", "the server is in protected mode: set a password or another bind address"},
		{"BUSY Redis is busy running a script.", "a script blocks the server: SCRIPT KILL ends it unless it has written"},
		{"NOSCRIPT No matching script. Please use EVAL.", "the server refused the call"},
		{"NOGOODSLAVE No suitable replica to promote", "the server refused the call"},
		{"EXECABORT Transaction discarded because of previous errors.", "the server refused the call"},
		{"WRONGTYPE Operation against a key holding the wrong kind of value",
			"another program wrote a key under the prefix: give each store its own prefix"},
		{"ERR max number of clients reached", "the server has too many connections: raise maxclients"},
		{"ERR DB index is out of range", "the server does not have the database that the client selects (a Cluster has only 0)"},
		{"ERR SELECT is not allowed in cluster mode", "the server does not have the database that the client selects (a Cluster has only 0)"},
		{"ERR This instance has cluster support disabled", "the server is not part of a Cluster: use redis.NewClient"},
		{"ERR unknown command 'EVALSHA', with args beginning with: '8d985dbc' 'latchkey:{latchkey}:keys'",
			"the server does not know the command evalsha, or has renamed it"},
		{"ERR unknown command `EVALSHA`, with args beginning with: `8d985dbc`, ", "the server does not know the command evalsha, or has renamed it"},
		{"ERR Unknown Redis command called from script script: 8d985dbc, on @user_script:9999.",
			"the server does not know the command of a script, or has renamed it"},
		{"ERR Unknown command called from script script: 8d985dbc, on @user_script:9999.",
			"the server does not know the command of a script, or has renamed it"},
		{"ERR user_script:3: attempt to index a nil value script: 8d985dbc, on @user_script:9999.",
			"a script failed: another program may have changed a record"},
		{"ERR something new about alice", "the server refused the call"},
		{"SURPRISE of alice", "the server refused the call"},
		// The texts of Redis 6 to 8 for a user that lacks a right.
		{"NOPERM this user has no permissions to run the 'hget' command or its subcommand", "the user of the client lacks the right +hget"},
		{"NOPERM this user has no permissions to run the 'config|get' command", "the user of the client lacks the right +config|get"},
		{"ERR ACL failure in script: User alice has no permissions to run the 'hget' command script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right +hget"},
		{"ERR Error running script (call to f_8d985dbc): @user_script:9999: @user_script: 9999: The user executing the script can't run this command or subcommand",
			"the user of the client lacks the right to a command that the scripts call"},
		{"NOPERM this user has no permissions to access one of the keys used as arguments", "the user of the client lacks the right ~latchkey:*"},
		{"NOPERM No permissions to access a key", "the user of the client lacks the right ~latchkey:*"},
		{"NOPERM No permissions to access a channel", "the user of the client lacks the right &latchkey:{latchkey}:notices"},
		{"NOPERM this user has no permissions to access one of the channels used as arguments",
			"the user of the client lacks the right &latchkey:{latchkey}:notices"},
		{"ERR ACL failure in script: No permissions to access a key script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right ~latchkey:*"},
		{"ERR ACL failure in script: No permissions to access a channel script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right &latchkey:{latchkey}:notices"},
		{"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right ~latchkey:*"},
		{"ERR The user executing the script can't publish to the channel mentioned in the command script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right &latchkey:{latchkey}:notices"},
		{"ERR The user executing the script can't run this command or subcommand script: 8d985dbc, on @user_script:9999.",
			"the user of the client lacks the right to a command that the scripts call"},
	} {
		t.Run(try.answer, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// A slot that moves is retried until the context ends: here after three calls.
			addr := answering(t, "-"+try.answer+"\r\n", map[int]func(){3: cancel})
			err := lookUp(ctx, t, redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1}))
			require.EqualError(t, err, "redisstore: look up key: store: unavailable ("+try.want+")")
			require.ErrorIs(t, err, store.ErrUnavailable)
			for _, name := range private {
				if !strings.Contains(try.want, name) {
					require.NotContains(t, err.Error(), name)
				}
			}
		})
	}
}

// lookUp returns the error of a look-up, which must fail.
func lookUp(ctx context.Context, t *testing.T, client redis.UniversalClient) error {
	t.Helper()
	t.Cleanup(func() { _ = client.Close() })
	driver, err := redisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	_, err = driver.Store().Keys.Lookup(ctx, "key-1")
	require.ErrorIs(t, err, store.ErrUnavailable)
	return err
}

// answering starts a server that gives every command the same answer. After n scripts
// it calls then[n].
func answering(t *testing.T, answer string, then map[int]func()) string {
	t.Helper()
	return serving(t, func(c net.Conn) {
		r, scripts := bufio.NewReader(c), 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			// A command is an array of n texts, each with a line for its length.
			n, _ := strconv.Atoi(strings.Trim(line, "*\r\n"))
			script := false
			for range 2 * n {
				text, err := r.ReadString('\n')
				if err != nil {
					return
				}
				script = script || text == "evalsha\r\n"
			}
			if script {
				scripts++
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
			if do := then[scripts]; do != nil {
				do()
			}
		}
	})
}

func serving(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return listener.Addr().String()
}

// The error for a server that cannot be used describes the cause, without its address.
func TestConnectionErrors(t *testing.T) {
	quiet := func(config *tls.Config) *httptest.Server {
		server := httptest.NewUnstartedServer(nil)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	secure, asks := quiet(nil), quiet(&tls.Config{ClientAuth: tls.RequireAnyClientCert})
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	unusedAddr := closed.Addr().String()
	options := func(addr string) *redis.Options {
		return &redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1}
	}
	with := func(addr string, change func(*redis.Options)) redis.UniversalClient {
		o := options(addr)
		change(o)
		return redis.NewClient(o)
	}
	for _, try := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"nothing listens", redis.NewClient(options(unusedAddr)), "no server listens at the address"},
		{"nothing listens at a Cluster's address", redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{unusedAddr}, ContextTimeoutEnabled: true, MaxRedirects: -1}),
			"no server listens at the address"},
		{"no sentinel", redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "alice", SentinelAddrs: []string{unusedAddr}, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		}), "no sentinel names a master: check MasterName and SentinelAddrs"},
		{"sentinels that do not know the master", redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "alice", SentinelAddrs: []string{answering(t, "*-1\r\n", nil)}, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		}), "no sentinel names a master: check MasterName and SentinelAddrs"},
		{"no such host", redis.NewClient(options("alice.invalid:6379")), "the server's host name cannot be resolved"},
		{"a connection that ends", redis.NewClient(options(serving(t, func(net.Conn) {}))), "the connection broke"},
		{"no answer", with(serving(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
			func(o *redis.Options) { o.ReadTimeout = 600 * time.Millisecond }), "no answer in time"},
		{"a certificate of an unknown authority", with(secure.Listener.Addr().String(),
			func(o *redis.Options) { o.TLSConfig = &tls.Config{ServerName: "redis.example.com"} }),
			"the server's certificate is not valid for the name in the client's options, or not signed by an authority that the client trusts"},
		{"a server without TLS", with(answering(t, "-ERR Protocol error\r\n", nil),
			func(o *redis.Options) { o.TLSConfig = &tls.Config{ServerName: "redis.example.com"} }), "the server does not use TLS at this port"},
		{"a server that asks for a certificate", with(asks.Listener.Addr().String(), func(o *redis.Options) {
			o.TLSConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server refuses before
		}), "the server ended the TLS handshake: it may require a client certificate"},
	} {
		t.Run(try.name, func(t *testing.T) {
			err := lookUp(t.Context(), t, try.client)
			require.EqualError(t, err, "redisstore: look up key: store: unavailable ("+try.want+")")
			for _, name := range append(private, unusedAddr) {
				require.NotContains(t, err.Error(), name)
			}
		})
	}
	for _, try := range []struct {
		name, want string
		patience   time.Duration
	}{
		{"all connections in use", "(all connections of the client are in use: check PoolSize)", 10 * time.Millisecond},
		{"a call that was canceled", "(the call was canceled)", time.Minute},
	} {
		t.Run(try.name, func(t *testing.T) {
			held := make(chan struct{}, 10)
			client := with(serving(t, func(c net.Conn) { held <- struct{}{}; _, _ = io.Copy(io.Discard, c) }), func(o *redis.Options) {
				o.PoolSize, o.PipelinePoolSize, o.PoolTimeout = 1, -1, try.patience
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = client.Ping(t.Context()).Err() }()
			<-held
			if try.patience == time.Minute {
				client.AddHook(begun(func() { time.AfterFunc(10*time.Millisecond, cancel) }))
			}
			require.ErrorContains(t, lookUp(ctx, t, client), try.want)
		})
	}
	t.Run("a closed client", func(t *testing.T) {
		client := redis.NewClient(options(unusedAddr))
		require.NoError(t, client.Close())
		require.ErrorContains(t, lookUp(t.Context(), t, client), "(the client is closed)")
	})
}

// begun is a hook that runs when a pipeline begins, before it has a connection.
type begun func()

func (begun) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (begun) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (do begun) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		do()
		return next(ctx, cmds)
	}
}
