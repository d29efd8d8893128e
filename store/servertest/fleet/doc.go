// Package fleet holds tests only: several processes, each a host of its own,
// that act as one over what they share. Each process is this test binary,
// started once more: host_test.go is what it does, replica_test.go is how a test
// talks to it.
//
//	go test -C store/servertest ./fleet -v                              # a small form
//	LATCHKEY_SOAK=1 go test -C store/servertest ./fleet -v -timeout 30m # the figures of store/README.md
package fleet
