package servers

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
)

// StartMariaDB starts a MariaDB with its data under dir: user root, no
// password, database test. Like StartPostgres it does not wait for the disk.
func StartMariaDB(ctx context.Context, dir string) (*Process, error) {
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	program, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	// A socket's path is limited to some 100 bytes (unix(7)), which a test's
	// directory may exceed: this one is relative to the data.
	common := []string{"--no-defaults", "--datadir=" + data, "--socket=mariadb.sock"}
	if os.Getuid() == 0 {
		common = append(common, "--user=root")
	}
	err = setUp(ctx, nil, dir, "", install,
		slices.Concat(common, []string{"--auth-root-authentication-method=normal", "--skip-name-resolve"})...)
	if err != nil {
		return nil, err
	}
	first := filepath.Join(dir, "first.sql")
	if err := os.WriteFile(first, []byte("CREATE DATABASE IF NOT EXISTS test;\n"), 0o600); err != nil {
		return nil, err
	}
	p := &Process{program: program, ping: pingMariaDB, dir: dir, argv: func(port string) []string {
		return slices.Concat(common, []string{
			"--port=" + port, "--bind-address=127.0.0.1", "--skip-name-resolve", "--init-file=" + first,
			"--innodb-flush-log-at-trx-commit=2", "--max-connections=300", "--pid-file=" + filepath.Join(dir, "pid"),
		})
	}}
	return p.start(ctx)
}

// pingMariaDB reads the greeting: a header of four bytes, then the protocol's
// version, which is 10, or 255 for an error.
func pingMariaDB(ctx context.Context, addr string) error {
	return dial(ctx, addr, func(c net.Conn) error {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		if head[4] != 10 {
			return fmt.Errorf("the greeting is of version %d", head[4])
		}
		return nil
	})
}
