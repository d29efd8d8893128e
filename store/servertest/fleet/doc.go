// Package fleet holds tests only: several processes, each a host of its own,
// that act as one over what they share. The test binary starts itself again
// for each process; see host_test.go for what such a process does and
// replica_test.go for how a test talks to it.
//
//	go test -C store/servertest ./fleet -v                    # prints what was measured
//	LATCHKEY_SOAK=1 go test -C store/servertest ./fleet -v -timeout 30m # the figures of store/README.md
package fleet
