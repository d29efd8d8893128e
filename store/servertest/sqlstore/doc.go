// Package sqlstore holds tests only: package store/sqlstore on PostgreSQL, MariaDB
// and SQLite. Its tests that need no database stand beside its code.
package sqlstore
