// Package killed holds tests only: a process that serves package apikey or the
// management API is killed in the middle of a call, and another process answers
// the client's retry. The records are in a SQLite file, which outlives both.
package killed
