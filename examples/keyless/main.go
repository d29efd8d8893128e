// Command keyless shows a login without a stored secret. It serves a service with
// Latchkey, and starts two other programs: an issuer that stands for GitHub Actions, and
// jobs that log in with the identity that this issuer gives them.
//
//	go run ./examples/keyless
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keyless:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "keyless")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears its folder of temporary files
	var ended sync.WaitGroup
	defer ended.Wait()                     // after cancel: the issuer never outlives this program
	ctx, cancel := context.WithCancel(ctx) // ends the other programs
	defer cancel()
	for _, program := range []string{"issuer", "job"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, program), "github.com/latchkey-go/latchkey/examples/keyless/"+program) //nolint:gosec // the arguments are fixed
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", program, err)
		}
	}
	issuer, err := startIssuer(ctx, filepath.Join(dir, "issuer"), &ended)
	if err != nil {
		return fmt.Errorf("start the issuer: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	service, err := newService(base, issuer.URL)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	served := make(chan error, 1)
	web := &http.Server{Handler: service.mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second}
	go func() { served <- service.server.Serve(ctx, web, listener, 5*time.Second) }()
	err = runJobs(ctx, service, issuer, base, filepath.Join(dir, "job"), out)
	cancel()
	return errors.Join(err, <-served)
}

// issuer is the line that the issuer prints.
type issuer struct {
	URL  string                       `json:"issuer"`
	Jobs map[string]map[string]string `json:"jobs"` // the environment of a job, by repository
}

func startIssuer(ctx context.Context, program string, ended *sync.WaitGroup) (found issuer, err error) {
	command := exec.CommandContext(ctx, program)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return issuer{}, err
	}
	if err := command.Start(); err != nil {
		return issuer{}, err
	}
	ended.Go(func() { <-ctx.Done(); _ = command.Wait() }) //nolint:errcheck // it was killed
	err = json.NewDecoder(out).Decode(&found)
	return found, err
}

// runJobs runs the jobs and prints what happens.
func runJobs(ctx context.Context, s *service, issuer issuer, base, program string, out io.Writer) error {
	key, err := s.newKey(ctx)
	if err != nil {
		return err
	}
	trusted := key.Credentials[0]
	fmt.Fprintf(out, "The key %s has no secret. It trusts repository 74 in the environment production.\n", key.ID)
	start := func(repository string) (*job, error) {
		environment := []string{"SERVICE_URL=" + base, "CLIENT_ID=" + key.ID}
		for name, value := range issuer.Jobs[repository] {
			environment = append(environment, name+"="+value)
		}
		return startJob(ctx, program, environment)
	}
	job, err := start("octo-org/octo-repo")
	if err != nil {
		return err
	}
	for _, want := range []string{"logged in", "called: 200 OK the projects of team-a"} {
		if err := job.expect(want, "a job of this repository", out); err != nil {
			return err
		}
	}
	other, err := start("someone-else/fork")
	if err != nil {
		return err
	}
	if err := other.expect("job: log in: 401 Unauthorized invalid_client", "a job of another repository", out); err != nil {
		return err
	}
	if _, err := s.server.APIKeys().Retire(ctx, apikey.OrganizationAdmin("keyless"), key.ID, trusted.ID, 0); err != nil {
		return err
	}
	fmt.Fprintln(out, "The trust is retired.")
	if _, err := fmt.Fprintln(job.in); err != nil { // the first job calls again
		return err
	}
	if err := job.expect("called: 401 Unauthorized", "the first job, with its token", out); err != nil {
		return err
	}
	again, err := start("octo-org/octo-repo")
	if err != nil {
		return err
	}
	if err := again.expect("job: log in: 401 Unauthorized invalid_client", "a new job of this repository", out); err != nil {
		return err
	}
	fmt.Fprintln(out, "All steps succeeded.")
	return nil
}

// job is a running job.
type job struct {
	in  io.Writer
	out *bufio.Reader // what it prints, also errors
}

func startJob(ctx context.Context, program string, environment []string) (*job, error) {
	command := exec.CommandContext(ctx, program)
	command.Env = environment
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, printed := io.Pipe()
	command.Stdout, command.Stderr = printed, printed
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { _ = printed.CloseWithError(errors.Join(command.Wait(), io.EOF)) }()
	return &job{in, bufio.NewReader(out)}, nil
}

// expect reads a line that begins with want.
func (j *job) expect(want, who string, out io.Writer) error {
	line, err := j.out.ReadString('\n')
	if !strings.HasPrefix(line, want) {
		return errors.Join(fmt.Errorf("%s: it printed %q instead of %q", who, line, want), err)
	}
	fmt.Fprintf(out, "%s: %s\n", who, strings.TrimSpace(line))
	return nil
}
