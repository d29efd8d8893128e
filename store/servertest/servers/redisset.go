package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// StartRedisCluster starts a Redis Cluster of the given number of masters, 3
// or more, without replicas. It returns when every node serves all slots.
func StartRedisCluster(ctx context.Context, dir string, masters int) (nodes []*Process, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	defer func() {
		if err != nil {
			stopAll(nodes)
			nodes = nil
		}
	}()
	buses := make([]string, masters)
	for i := range masters {
		if buses[i], err = freePort(ctx); err != nil {
			return nodes, err
		}
		node, err := startIn(ctx, dir, fmt.Sprint("node-", i),
			"--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-node-timeout", "5000")
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, node)
	}
	const slots = 16384
	for i, node := range nodes {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if _, err := ask(ctx, node.Addr(), "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return nodes, err
		}
		if _, err := ask(ctx, nodes[0].Addr(), "CLUSTER", "MEET", "127.0.0.1", node.port, buses[i]); err != nil {
			return nodes, err
		}
	}
	for _, node := range nodes {
		known := fmt.Sprint("cluster_known_nodes:", masters)
		if err := waitInfo(ctx, node, []string{"CLUSTER", "INFO"}, "cluster_state:ok", known); err != nil {
			return nodes, err
		}
	}
	return nodes, nil
}

// Sentinel is a Redis master with replicas, and three sentinels that promote a replica if
// the master does not answer for two seconds.
type Sentinel struct {
	Name      string // the master's name, which clients use
	Master    *Process
	Replicas  []*Process
	Sentinels []*Process
}

// StartRedisSentinel starts them under dir. It returns when the replicas follow the
// master, and every sentinel knows the replicas and the other sentinels.
func StartRedisSentinel(ctx context.Context, dir string, replicas int) (s *Sentinel, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	s = &Sentinel{Name: "latchkey"}
	defer func() {
		if err != nil {
			s.Stop()
			s = nil
		}
	}()
	// The master synchronizes a new replica at once, instead of after 5 s.
	if s.Master, err = startIn(ctx, dir, "master", "--repl-diskless-sync-delay", "0"); err != nil {
		return s, err
	}
	for i := range replicas {
		replica, err := startIn(ctx, dir, fmt.Sprint("replica-", i), "--replicaof", "127.0.0.1 "+s.Master.port, "--repl-diskless-sync-delay", "0")
		if err != nil {
			return s, err
		}
		s.Replicas = append(s.Replicas, replica)
		if err := waitInfo(ctx, replica, []string{"INFO", "replication"}, "master_link_status:up"); err != nil {
			return s, err
		}
	}
	for i := range 3 {
		sentinel, err := s.startSentinel(ctx, filepath.Join(dir, fmt.Sprint("sentinel-", i)))
		if err != nil {
			return s, err
		}
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	complete := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", s.Master.Addr(), replicas, len(s.Sentinels))
	for _, sentinel := range s.Sentinels {
		if err := waitInfo(ctx, sentinel, []string{"INFO", "sentinel"}, complete); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Addrs returns the addresses of the sentinels, host:port.
func (s *Sentinel) Addrs() []string {
	var addrs []string
	for _, p := range s.Sentinels {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// Current asks the first sentinel for the address of the master.
func (s *Sentinel) Current(ctx context.Context) (string, error) {
	answer, err := ask(ctx, s.Sentinels[0].Addr(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", s.Name)
	if err != nil {
		return "", err
	}
	if len(answer) != 2 {
		return "", fmt.Errorf("the sentinel does not know the master: %q", answer)
	}
	return net.JoinHostPort(answer[0], answer[1]), nil
}

// Stop stops all servers, the sentinels first.
func (s *Sentinel) Stop() {
	stopAll(s.Sentinels)
	stopAll(s.Replicas)
	if s.Master != nil {
		s.Master.Stop()
	}
}

// startSentinel starts a sentinel. It writes the configuration file, in which the
// sentinel also stores its state.
func (s *Sentinel) startSentinel(ctx context.Context, dir string) (*Process, error) {
	program, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf")
	// With less than two seconds the sentinels of a busy machine could replace a master
	// that still serves, and lose the writes that it acknowledges meanwhile.
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\n"+
		"sentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 5000\n", s.Name, s.Master.port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &Process{program: program, ping: pingRedis, dir: dir, argv: func(_ context.Context, port string) ([]string, error) {
		return []string{file, "--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no"}, nil
	}}
	return p.start(ctx)
}

func startIn(ctx context.Context, dir, name string, args ...string) (*Process, error) {
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return StartRedis(ctx, dir, args...)
}

// waitInfo polls the answer to a command until it contains all texts.
func waitInfo(ctx context.Context, p *Process, command []string, texts ...string) error {
	return wait(ctx, func() error {
		answer, err := ask(ctx, p.Addr(), command...)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(answer[0], text) {
				return fmt.Errorf("no %q in %q", text, answer[0])
			}
		}
		return nil
	})
}

func stopAll(list []*Process) {
	for _, p := range list {
		p.Stop()
	}
}
