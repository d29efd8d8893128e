// Package galera contains only tests: of package store/sqlstore on a MariaDB Galera
// cluster of three nodes, all of which take writes.
package galera
