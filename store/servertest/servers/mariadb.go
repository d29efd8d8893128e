package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// StartMariaDB starts a MariaDB server with its data under dir: user root, no password,
// database test. Like StartPostgres it does not wait for the disk.
func StartMariaDB(ctx context.Context, dir string) (*Process, error) {
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	program, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	data, tmp := filepath.Join(dir, "data"), filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	// The path of the socket is relative to the data, since it may have at most about 100
	// bytes (unix(7)), and a test's directory may be longer. Each server has its own
	// tmpdir, since a server that starts removes the temporary tables that it finds there,
	// also those of another server.
	common := []string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + tmp, "--socket=mariadb.sock"}
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
	p := &Process{program: program, ping: pingMariaDB, dir: dir, argv: func(_ context.Context, port string) ([]string, error) {
		return slices.Concat(common, []string{
			"--port=" + port, "--bind-address=127.0.0.1", "--skip-name-resolve", "--init-file=" + first,
			"--innodb-flush-log-at-trx-commit=2", "--max-connections=300", "--pid-file=" + filepath.Join(dir, "pid"),
		}), nil
	}}
	return p.start(ctx)
}

// pingMariaDB logs in to the database test.
func pingMariaDB(ctx context.Context, addr string) error {
	return dial(ctx, addr, func(c net.Conn) error {
		greeting, number, err := packet(c)
		if err != nil {
			return err
		}
		if greeting[0] != 10 { // the protocol's version
			return fmt.Errorf("MariaDB greets with %q", greeting)
		}
		// The flags are: protocol 4.1, with a database, with an authentication plugin.
		// Then come the packet size (16 MiB), utf8mb4, and 23 reserved bytes. The password
		// is empty.
		login := "\x08\x82\x08\x00\x00\x00\x00\x01\x2d" + strings.Repeat("\x00", 23) +
			"root\x00\x00test\x00mysql_native_password\x00"
		for {
			header := []byte{byte(len(login)), 0, 0, number + 1}
			if _, err := c.Write(append(header, login...)); err != nil {
				return err
			}
			var answer []byte
			if answer, number, err = packet(c); err != nil {
				return err
			}
			switch answer[0] {
			case 0: // logged in
				return nil
			case 0xfe: // another plugin, for which an empty password is the same
				login = ""
			default:
				return fmt.Errorf("MariaDB answers %q", answer)
			}
		}
	})
}

// packet reads a packet. It begins with a length of three bytes and a sequence number.
func packet(r io.Reader) (body []byte, number byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size == 0 || size > 64<<10 {
		return nil, 0, errors.New("the server is not MariaDB")
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return body, head[3], err
}
