package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// StartRedis starts a Redis server with its data under dir. Every acknowledged write is
// on disk (appendfsync always), unless args change that. args are options of redis-server,
// for example "--maxmemory", "10mb".
func StartRedis(ctx context.Context, dir string, args ...string) (*Process, error) {
	program, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	p := &Process{program: program, ping: pingRedis, dir: dir, argv: func(_ context.Context, port string) ([]string, error) {
		return append([]string{
			"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
			"--save", "", "--appendonly", "yes", "--appendfsync", "always",
		}, args...), nil
	}}
	return p.start(ctx)
}

func pingRedis(ctx context.Context, addr string) error {
	answer, err := ask(ctx, addr, "PING")
	if err == nil && answer[0] != "PONG" {
		return fmt.Errorf("the server is not Redis: the answer to PING is %q", answer[0])
	}
	return err
}

// ask sends one command on a new connection. It returns the elements of nested arrays as
// one list.
func ask(ctx context.Context, addr string, command ...string) (answer []string, err error) {
	err = dial(ctx, addr, func(c net.Conn) error {
		text := fmt.Sprintf("*%d\r\n", len(command))
		for _, word := range command {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		answer, err = reply(bufio.NewReader(c))
		return err
	})
	return answer, err
}

// reply reads one answer of the Redis protocol, version 2.
func reply(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("this is no Redis")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return []string{rest}, nil
	case '-':
		return nil, fmt.Errorf("redis answers %q", rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n > 1<<20 {
		return nil, errors.New("this is no Redis")
	}
	if kind == '$' {
		text := make([]byte, max(n, 0)+2)
		if n >= 0 {
			_, err = io.ReadFull(r, text)
		}
		return []string{string(text[:max(n, 0)])}, err
	}
	var all []string
	for range n {
		part, err := reply(r)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}

// dial calls f with a new connection, which has a deadline of dialLimit.
func dial(ctx context.Context, addr string, f func(net.Conn) error) error {
	c, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(dialLimit)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	return f(c)
}
