// Package faults holds tests only: what an authorization server answers while
// the store below it is stopped, hangs, is full, slow or read-only, and how it
// comes back. See TestFaults.
package faults
