// Package galera holds tests only: package store/sqlstore on a Galera cluster of
// three MariaDBs, each of which takes writes.
package galera
