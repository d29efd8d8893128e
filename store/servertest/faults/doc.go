// Package faults contains only tests: what an authorization server answers while its
// store is stopped, hangs, is full, slow or read-only, and how it recovers. See
// TestFaults.
package faults
