// Package fleet contains only tests: of several processes, each with its own server, that
// share a store. Each process is this test binary, started again. host_test.go has the
// code of a process, and replica_test.go the test's side.
//
//	go test -C store/servertest ./fleet -v                              # the short form
//	LATCHKEY_SOAK=1 go test -C store/servertest ./fleet -v -timeout 30m # the figures of store/README.md
package fleet
