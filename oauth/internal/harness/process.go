package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// partEnv names to a process the part that it plays.
const partEnv = "LATCHKEY_TEST_PART"

// A Part is played by a process of its own, for a test that kills it or
// measures without it. It reads stdin, whose end tells that the test is gone,
// and writes lines to stdout.
type Part func(t testing.TB, argument string)

// Main is TestMain of a package whose tests call Start: it runs the tests, or
// the part that this process was started for.
func Main(m *testing.M, parts map[string]Part) {
	name, argument, _ := strings.Cut(os.Getenv(partEnv), " ")
	part, ok := parts[name]
	if !ok {
		m.Run()
		return
	}
	t := &player{name: name}
	defer t.end()
	part(t, argument)
}

// Process is a part that plays.
type Process struct {
	In  io.WriteCloser
	Out *bufio.Reader

	t       testing.TB
	command *exec.Cmd
}

// Start lets another process of this program play a part, until the test
// ends.
func Start(t testing.TB, part, argument string) *Process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(), partEnv+"="+part+" "+argument)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &Process{in, bufio.NewReader(out), t, command}
	t.Cleanup(p.Kill)
	return p
}

// Line returns the next line that the process writes.
func (p *Process) Line() string {
	p.t.Helper()
	line, err := p.Out.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSuffix(line, "\n")
}

// Kill ends the process on the spot.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() //nolint:errcheck // it may have ended
	_ = p.command.Wait()         //nolint:errcheck // killed is an error
}

// player is the test of a process that plays a part: what fails is told on
// stderr and ends it.
type player struct {
	testing.TB // nil: what is not below is not used

	name     string
	cleanups []func()
}

func (*player) Helper()                     {}
func (*player) Context() context.Context    { return context.Background() }
func (p *player) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *player) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, p.name+": "+f+"\n", a...) }
func (p *player) Fatalf(f string, a ...any) { p.Logf(f, a...); p.FailNow() }
func (p *player) Errorf(f string, a ...any) { p.Fatalf(f, a...) }
func (*player) FailNow()                    { os.Exit(1) }

func (p *player) end() {
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}
