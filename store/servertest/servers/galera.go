package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"
)

// Galera is a MariaDB Galera cluster, in which every node takes writes. If a node does
// not answer for 1.5 s, the others expel it; their commits wait until then. Galera's
// default limits are 5 s and 15 s.
//
// A node that was killed or stopped joins the cluster again on Restart, which returns when
// the node has caught up. Unless it was stopped cleanly, it copies all data from another
// node, which commits nothing meanwhile. A node that was paused joins by itself after
// Resume; see [Galera.Serves].
type Galera struct {
	Nodes []*Process

	name  string // unique on the machine
	mu    sync.Mutex
	peers []string // the address at which each node listens for the others; empty before its first start
}

// StartGalera starts a MariaDB Galera cluster with its data under dir: user
// root, no password, database test. It returns when every node serves.
func StartGalera(ctx context.Context, dir string, nodes int) (g *Galera, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	g = &Galera{name: rand.Text(), peers: make([]string, nodes)}
	defer func() {
		if err != nil {
			g.kill()
			g = nil
		}
	}()
	for i := range nodes {
		node, err := g.startNode(ctx, filepath.Join(dir, fmt.Sprint("node-", i)), i)
		if err != nil && i > 0 {
			// It got its data from the first node, whose log may say why that failed.
			err = fmt.Errorf("%w; the first node: %s", err, tail(filepath.Join(g.Nodes[0].dir, "mariadbd.log")))
		}
		if err != nil {
			return g, err
		}
		g.Nodes = append(g.Nodes, node)
	}
	return g, nil
}

// DSN is the data source name of a node in the form of go-sql-driver/mysql.
func (g *Galera) DSN(node int) string {
	return "root@tcp(" + g.Nodes[node].Addr() + ")/test?interpolateParams=true"
}

// CutOff cuts the connections of a node to the other nodes, but not to its clients. It
// returns when the node has noticed.
func (g *Galera) CutOff(ctx context.Context, node int) error {
	if err := g.isolate(ctx, node, "1"); err != nil {
		return err
	}
	return wait(ctx, func() error {
		status, err := clusterStatus(ctx, g.Nodes[node].Addr())
		if err == nil && status == "Primary" {
			err = errors.New("the node still belongs to the cluster")
		}
		return err
	})
}

// Rejoin undoes CutOff. It returns when the node serves.
func (g *Galera) Rejoin(ctx context.Context, node int) error {
	if err := g.isolate(ctx, node, "0"); err != nil {
		return err
	}
	return g.Serves(ctx, node)
}

// Serves waits until a node belongs to the cluster and has applied what the others have
// committed.
func (g *Galera) Serves(ctx context.Context, node int) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return wait(ctx, func() error { return pingGalera(ctx, g.Nodes[node].Addr()) })
}

// Stop stops all nodes, one after the other.
func (g *Galera) Stop() { stopAll(g.Nodes) }

func (g *Galera) kill() {
	for _, node := range g.Nodes {
		_ = node.Kill() // it may have ended already
	}
}

func (g *Galera) isolate(ctx context.Context, node int, value string) error {
	db, err := open(g.Nodes[node].Addr())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate="+value+"'")
	return err
}

func (g *Galera) startNode(ctx context.Context, dir string, i int) (*Process, error) {
	library, err := findGalera()
	if err != nil {
		return nil, err
	}
	program, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	data, tmp := filepath.Join(dir, "data"), filepath.Join(dir, "tmp")
	for _, each := range []string{dir, data, tmp} {
		if err := os.Mkdir(each, 0o700); err != nil {
			return nil, err
		}
	}
	// A node that runs as root cannot receive data from another by rsync.
	as, err := notRoot("mysql", dir, data, tmp)
	if err != nil {
		return nil, err
	}
	common := []string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + tmp, "--socket=mariadb.sock"}
	if i == 0 {
		err := setUp(ctx, as, dir, "", install,
			slices.Concat(common, []string{"--auth-root-authentication-method=normal", "--skip-name-resolve"})...)
		if err != nil {
			return nil, err
		}
	}
	p := &Process{program: program, ping: pingGalera, dir: dir, user: as, argv: func(ctx context.Context, port string) ([]string, error) {
		provider, others, err := g.listen(ctx, i)
		if err != nil {
			return nil, err
		}
		return slices.Concat(common, []string{
			"--port=" + port, "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=300",
			"--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=16M", "--pid-file=" + filepath.Join(dir, "pid"),
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON", "--wsrep-provider=" + library,
			"--wsrep-cluster-name=" + g.name, "--wsrep-cluster-address=gcomm://" + others,
			"--wsrep-node-name=" + fmt.Sprint("node-", i), "--wsrep-node-address=127.0.0.1", "--wsrep-sst-method=rsync",
		}, provider), nil
	}}
	return p.start(ctx)
}

// listen chooses the ports on which a node listens for the others, and returns the
// others' addresses. They are empty for the first node, which creates the cluster.
func (g *Galera) listen(ctx context.Context, node int) (options []string, others string, err error) {
	var ports [3]string
	for i := range ports {
		if ports[i], err = freePort(ctx); err != nil {
			return nil, "", err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers[node] = ""
	others = strings.Join(slices.DeleteFunc(slices.Clone(g.peers), func(peer string) bool { return peer == "" }), ",")
	g.peers[node] = "127.0.0.1:" + ports[0]
	return []string{
		"--wsrep-sst-receive-address=127.0.0.1:" + ports[1],
		"--wsrep-provider-options=" + strings.Join([]string{
			"gmcast.listen_addr=tcp://" + g.peers[node], "ist.recv_addr=127.0.0.1:" + ports[2], "gcache.size=32M",
			// If all nodes were down, they would otherwise wait for each other.
			"pc.recovery=false",
			"evs.keepalive_period=PT0.3S", "evs.inactive_check_period=PT0.2S", "evs.suspect_timeout=PT1.5S",
			"evs.inactive_timeout=PT3S", "evs.install_timeout=PT3S", "evs.join_retrans_period=PT0.3S",
		}, ";"),
	}, others, nil
}

// findGalera looks for the library where Debian and Fedora install it.
func findGalera() (string, error) {
	for _, path := range []string{"/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: libgalera_smm.so", ErrNone)
}

// pingGalera reads a table after waiting for what the cluster has committed. The node's
// status is not enough: a node that was paused takes up to a second to notice that it was
// expelled.
func pingGalera(ctx context.Context, addr string) error {
	db, err := open(addr)
	if err != nil {
		return err
	}
	defer db.Close()
	var accounts int
	return db.QueryRowContext(ctx, "SET STATEMENT wsrep_sync_wait = 1 FOR SELECT COUNT(*) FROM mysql.global_priv").Scan(&accounts)
}

// clusterStatus returns "Primary" for a node that belongs to the cluster. A node that was
// cut off answers, too.
func clusterStatus(ctx context.Context, addr string) (status string, err error) {
	db, err := open(addr)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var name string
	err = db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'").Scan(&name, &status)
	return status, err
}

func open(addr string) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "tcp", addr
	config.Timeout, config.ReadTimeout = dialLimit, dialLimit
	config.Logger = &mysql.NopLogger{} // the error is returned
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
