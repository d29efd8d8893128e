// Package redisstore contains only tests: of package store/redisstore on one Redis
// server, with replicas under Sentinel, and on a Cluster. Tests that need no server are in
// that package's directory.
package redisstore
