// Package redisstore holds tests only: package store/redisstore on one Redis
// server, on replicas under Sentinel and on a Cluster. Its tests that need no
// server stand beside its code.
package redisstore
