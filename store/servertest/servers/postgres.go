package servers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// StartPostgres starts a PostgreSQL server with its data under dir: user postgres, no
// password, database test. It runs with fsync=off: committed changes survive a killed
// server, but not a power failure.
func StartPostgres(ctx context.Context, dir string) (*Process, error) {
	programs, as, err := postgresPrograms(dir)
	if err != nil {
		return nil, err
	}
	program, data := filepath.Join(programs, "postgres"), filepath.Join(dir, "data")
	err = setUp(ctx, as, dir, "", filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return nil, err
	}
	err = setUp(ctx, as, dir, "CREATE DATABASE test\n", program, "--single", "-F", "-D", data, "postgres")
	if err != nil {
		return nil, err
	}
	return postgresIn(data, dir, program, as).start(ctx)
}

func postgresIn(data, dir, program string, as *account) *Process {
	return &Process{program: program, ping: pingPostgres, dir: dir, user: as, fast: true, argv: func(_ context.Context, port string) ([]string, error) {
		return []string{
			"-D", data, "-F", "-p", port, "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", "max_connections=300",
		}, nil
	}}
}

// StartPostgresStandby starts a hot standby of a running PostgreSQL server. SELECT
// pg_promote() makes it take writes.
func StartPostgresStandby(ctx context.Context, dir string, primary *Process) (*Process, error) {
	programs, as, err := postgresPrograms(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	err = setUp(ctx, as, dir, "", filepath.Join(programs, "pg_basebackup"), "-h", "127.0.0.1", "-p", primary.port,
		"-U", "postgres", "-D", data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if err != nil {
		return nil, err
	}
	return postgresIn(data, dir, filepath.Join(programs, "postgres"), as).start(ctx)
}

// postgresPrograms returns the directory of PostgreSQL's programs, which is that of
// initdb, and the account to run them as. The account becomes the owner of dir.
func postgresPrograms(dir string) (programs string, as *account, err error) {
	initdb, err := find("initdb")
	if err != nil {
		return "", nil, err
	}
	if as, err = notRoot("postgres", dir); err != nil {
		return "", nil, err
	}
	initdb, err = filepath.EvalSymlinks(initdb)
	return filepath.Dir(initdb), as, err
}

// notRoot returns the account for a server that does not run as root: the named account
// or, if it does not exist, the account nobody. The account becomes the owner of dirs.
func notRoot(name string, dirs ...string) (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup(name)
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
		// A test's directory is inside one that only root may enter.
		for above := filepath.Dir(dir); strings.HasPrefix(above, os.TempDir()+string(filepath.Separator)); above = filepath.Dir(above) {
			if err := os.Chmod(above, 0o711); err != nil { //nolint:gosec // to enter, not to read
				return nil, err
			}
		}
	}
	return &account{uint32(uid), uint32(gid)}, nil
}

// pingPostgres logs in to the database test.
func pingPostgres(ctx context.Context, addr string) error {
	return login(ctx, addr, "postgres", "test")
}

func login(ctx context.Context, addr, user, database string) error {
	return dial(ctx, addr, func(c net.Conn) error {
		// Message formats: a length that counts itself, protocol 3.0, pairs.
		body := "\x00\x03\x00\x00user\x00" + user + "\x00database\x00" + database + "\x00\x00"
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
			return err
		}
		for {
			var head [5]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return err
			}
			size := binary.BigEndian.Uint32(head[1:])
			if size < 4 || size > 64<<10 {
				return errors.New("the server is not PostgreSQL")
			}
			message := make([]byte, size-4)
			if _, err := io.ReadFull(c, message); err != nil {
				return err
			}
			switch {
			case head[0] == 'E':
				return fmt.Errorf("PostgreSQL answers %q", message)
			case head[0] == 'R' && (len(message) < 4 || binary.BigEndian.Uint32(message) != 0):
				return errors.New("PostgreSQL requires a password")
			case head[0] == 'Z': // ready for a query
				_, err := c.Write([]byte("X\x00\x00\x00\x04"))
				return err
			}
		}
	})
}
