package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// findIssuer reads the issuer's URLs and credentials, or starts an issuer. Call stop at
// the end.
func findIssuer(ctx context.Context, file string, in io.Reader) (found issuer, stop func(), err error) {
	stop = func() {}
	switch file {
	case "":
		in, stop, err = startQuickstart(ctx)
	case "-":
	default:
		var opened *os.File
		opened, err = os.Open(file) //nolint:gosec // the file is named on the command line
		if err == nil {
			stop = func() { _ = opened.Close() } //nolint:errcheck // it was only read
		}
		in = opened
	}
	if err != nil {
		return issuer{}, nil, err
	}
	line, err := bufio.NewReader(in).ReadBytes('\n')
	if err == nil || errors.Is(err, io.EOF) {
		err = json.Unmarshal(line, &found)
	}
	if err == nil && (found.Issuer == "" || found.JWKSURL == "" || found.ClientID == "") {
		err = errors.New("it must hold issuer, jwks_url and client_id: use the output of quickstart -json")
	}
	if err != nil {
		stop()
		return issuer{}, nil, fmt.Errorf("the issuer's line of JSON: %w", err)
	}
	return found, stop, nil
}

// startQuickstart builds the quickstart and runs it in its own process.
func startQuickstart(ctx context.Context) (io.Reader, func(), error) {
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return nil, nil, err
	}
	program := filepath.Join(dir, "quickstart")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/latchkey-go/latchkey/examples/quickstart") //nolint:gosec // the arguments are fixed
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("build the quickstart: %w", err), os.RemoveAll(dir))
	}
	server := exec.CommandContext(ctx, program, "-json", "-addr", "127.0.0.1:0") //nolint:gosec // built above
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the quickstart: %w", err), os.RemoveAll(dir))
	}
	return out, func() {
		// The process is killed, so its exit status means nothing.
		_ = server.Process.Kill() //nolint:errcheck // see above
		_ = server.Wait()         //nolint:errcheck // see above
		_ = os.RemoveAll(dir)     //nolint:errcheck // the system clears its folder of temporary files
	}, nil
}
