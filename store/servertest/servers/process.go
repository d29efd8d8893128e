package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// These limits are long enough for a busy machine.
const (
	startLimit = 2 * time.Minute
	stopLimit  = 20 * time.Second
	stopTries  = 40
	dialLimit  = 3 * time.Second
	pollEvery  = 20 * time.Millisecond
)

// Process is a server for one test. Its methods are safe for concurrent use. Each returns
// when the server has reached the new state.
type Process struct {
	program string
	argv    func(ctx context.Context, port string) ([]string, error) // called before each start
	ping    func(ctx context.Context, addr string) error
	dir     string
	user    *account // nil: the account of the test binary
	fast    bool     // stops by SIGINT: SIGTERM would wait for its clients

	mu     sync.Mutex
	port   string
	pid    int           // 0: not running
	exited chan struct{} // closed when pid has ended
	paused []int
}

// account is the account of a server that refuses to run as root.
type account struct{ uid, gid uint32 }

// Addr returns the server's address, host:port. Restart does not change it.
func (p *Process) Addr() string { return net.JoinHostPort("127.0.0.1", p.port) }

// Stop shuts the server down cleanly and keeps its data. It kills a server that does not
// react. Stopping a stopped server does nothing.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == 0 {
		return
	}
	_ = p.resume() // a paused server does not react to signals
	// A Redis replica that writes its first copy to disk may lose the signal.
	for range stopTries {
		if terminate(p.pid, p.fast) != nil {
			break
		}
		if p.ended(stopLimit / stopTries) {
			p.pid = 0
			return
		}
	}
	_ = p.kill()
	p.pid = 0
}

// Kill ends the server and all its children with SIGKILL. The data on disk stays.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == 0 {
		return errors.New("kill: the server is not running")
	}
	return p.kill()
}

// Pause stops the server and all its children with SIGSTOP. It does not answer any more,
// and its connections stay open.
func (p *Process) Pause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == 0 {
		return errors.New("pause: the server is not running")
	}
	// The parent comes first, so that it cannot start another child.
	err := sendStop(p.pid)
	p.paused = []int{p.pid}
	for _, child := range children(p.pid) {
		if sendStop(child) == nil {
			p.paused = append(p.paused, child)
		}
	}
	return err
}

// Resume continues a paused server.
func (p *Process) Resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resume()
}

// Restart stops the server if it runs, and starts it again with the same port and data.
// It returns when the server answers.
func (p *Process) Restart(ctx context.Context) error {
	p.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return p.run(ctx)
}

// start runs the server for the first time, on a free port.
func (p *Process) start(ctx context.Context) (*Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for attempt := 1; ; attempt++ {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		p.port = port
		err = p.run(ctx)
		if err == nil {
			return p, nil
		}
		if attempt == 5 || !transient(err) {
			return nil, err
		}
	}
}

// transient reports whether a server may start at the next attempt: another process
// took its port in the meantime, or a node of a Galera cluster did not get the data of
// the others, as on a port that was taken or on a machine that is too busy.
func transient(err error) bool {
	return slices.ContainsFunc([]string{"ddress already in use", "WSREP_SST", "Will never receive state"}, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}

// run starts the program and waits until it answers.
func (p *Process) run(ctx context.Context) error {
	name := filepath.Base(p.program)
	argv, err := p.argv(ctx, p.port)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.program, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = attributes(p.user)
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The kernel ends the child when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the log shows how it ended
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.pid, p.exited, p.paused = cmd.Process.Pid, exited, nil
	err = wait(ctx, func() error {
		select {
		case <-exited:
			return final{fmt.Errorf("%s ended: %s", name, tail(log.Name()))}
		default:
			return p.ping(ctx, p.Addr())
		}
	})
	if err != nil {
		_ = p.kill()
	}
	return err
}

func (p *Process) kill() error {
	pids := append(children(p.pid), p.pid)
	for _, pid := range pids {
		_ = kill(pid) // a child may have ended by itself
	}
	if !p.ended(stopLimit) {
		return errors.New("kill: the server still runs")
	}
	p.pid, p.paused = 0, nil
	// A child that has not ended yet would block the next server from its data.
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return wait(ctx, func() error {
		for _, pid := range pids {
			if alive(pid) {
				return fmt.Errorf("kill: process %d still runs", pid)
			}
		}
		return nil
	})
}

func (p *Process) resume() error {
	var err error
	for i, pid := range p.paused {
		// A child may have ended before it was stopped; the parent has not.
		if failed := sendContinue(pid); i == 0 {
			err = failed
		}
	}
	p.paused = nil
	return err
}

func (p *Process) ended(within time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(within):
		return false
	}
}

// final is an error that ends the wait.
type final struct{ error }

// wait polls until check returns nil or a final error, or ctx ends.
func wait(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil || errors.As(err, new(final)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// find looks for a program in PATH and in Debian's directories for servers.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/local/sbin/", "/usr/lib/postgresql/*/bin/"} {
		if found, _ := filepath.Glob(pattern + program); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNone, program)
}

// setUp runs a program and waits for its end, before the server starts.
func setUp(ctx context.Context, as *account, dir, stdin, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin, cmd.SysProcAttr = dir, strings.NewReader(stdin), attributes(as)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastLines(out))
	}
	return nil
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return lastLines(text)
}

// lastLines returns the last five lines, and earlier lines that contain an error.
func lastLines(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	last := max(0, len(lines)-5)
	named := slices.DeleteFunc(slices.Clone(lines[:last]), func(line []byte) bool { return !bytes.Contains(line, []byte("ERROR")) })
	return string(bytes.Join(append(named, lines[last:]...), []byte("; ")))
}
