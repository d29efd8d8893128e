// Package sqlstore contains only tests: of package store/sqlstore on PostgreSQL, MariaDB
// and SQLite. Tests that need no database are in that package's directory.
package sqlstore
