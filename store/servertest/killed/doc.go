// Package killed contains only tests: a process that serves package apikey or the
// management API is killed during a call, and another process answers the client's retry.
// The records are in a SQLite file.
package killed
