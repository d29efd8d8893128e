package servers

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// StartPgBouncer starts a PgBouncer in transaction mode, with its files under dir, in
// front of the PostgreSQL server of postgresURL. It also returns the URL of the same
// database through PgBouncer. All clients connect to the server as the user of
// postgresURL, and may use any of its databases. The pool has at most 20 connections to
// each database.
//
// PgBouncer refuses a client that sends a startup parameter which it does not track, for
// example search_path.
func StartPgBouncer(ctx context.Context, dir, postgresURL string) (p *Process, through string, err error) {
	program, err := find("pgbouncer")
	if err != nil {
		return nil, "", err
	}
	server, err := url.Parse(postgresURL)
	if err != nil {
		return nil, "", fmt.Errorf("the URL of PostgreSQL: %w", err)
	}
	host, port := server.Hostname(), server.Port()
	if port == "" {
		port = "5432"
	}
	target := fmt.Sprintf("host='%s' port='%s' user='%s'", quote(host), quote(port), quote(server.User.Username()))
	if password, ok := server.User.Password(); ok {
		target += fmt.Sprintf(" password='%s'", quote(password))
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, "", err
	}
	as, err := notRoot("postgres", dir, file)
	if err != nil {
		return nil, "", err
	}
	p = &Process{program: program, dir: dir, user: as,
		ping: func(ctx context.Context, addr string) error {
			return login(ctx, addr, server.User.Username(), strings.TrimPrefix(server.Path, "/"))
		},
		argv: func(_ context.Context, port string) ([]string, error) {
			text := "[databases]\n* = " + target + "\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " + port + "\n" +
				"unix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 300\ndefault_pool_size = 20\n"
			return []string{file}, os.WriteFile(file, []byte(text), 0o600)
		}}
	if p, err = p.start(ctx); err != nil {
		return nil, "", err
	}
	server.Host = p.Addr()
	return p, server.String(), nil
}

// quote escapes a value for quotes in PgBouncer's configuration file.
func quote(value string) string { return strings.ReplaceAll(value, "'", "''") }
