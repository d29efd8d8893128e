// Command job is a program that holds no secret. It logs in with the identity that its
// platform gives it, and calls a route. Its environment has SERVICE_URL and CLIENT_ID,
// which are no secrets, and one of
//
//   - ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN (GitHub Actions),
//   - IDENTITY, the identity itself (GitLab CI),
//   - IDENTITY_FILE, a file with it (Kubernetes).
//
// After the call it reads a line from standard input and calls again with the same token,
// until there are no more lines.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "job:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	service := os.Getenv("SERVICE_URL")
	identity, err := identify(service)
	if err != nil {
		return fmt.Errorf("get an identity: %w", err)
	}
	token, err := logIn(service, os.Getenv("CLIENT_ID"), identity)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	fmt.Fprintln(out, "logged in")
	lines := bufio.NewScanner(in)
	for {
		status, body, err := get(service+"/workspaces/team-a/projects", token)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "called:", status, strings.TrimSpace(string(body)))
		if !lines.Scan() {
			return lines.Err()
		}
	}
}

// identify returns the identity, whose audience must be the issuer of the service's tokens.
func identify(audience string) (string, error) {
	if file := os.Getenv("IDENTITY_FILE"); file != "" { // the kubelet renews it, so read it before each login
		text, err := os.ReadFile(file) //nolint:gosec // the environment names the file
		return strings.TrimSpace(string(text)), err
	}
	if identity := os.Getenv("IDENTITY"); identity != "" {
		return identity, nil
	}
	_, body, err := get(os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL")+"&audience="+url.QueryEscape(audience), os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	if err != nil {
		return "", err
	}
	var answer struct {
		Value string `json:"value"`
	}
	err = json.Unmarshal(body, &answer)
	return answer.Value, err
}

// logIn exchanges the identity for a token (RFC 7523, section 2.2).
func logIn(service, clientID, identity string) (string, error) {
	request, err := http.NewRequest(http.MethodPost, service+"/api/login", strings.NewReader(url.Values{ //nolint:noctx // see do
		"grant_type":            {"client_credentials"},
		"client_id":             {clientID},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {identity},
	}.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := do(request)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", errors.New(status + " " + answer.Error)
	}
	return answer.Token, nil
}

func get(from, token string) (status string, body []byte, err error) {
	request, err := http.NewRequest(http.MethodGet, from, nil) //nolint:noctx // see do
	if err != nil {
		return "", nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return do(request)
}

func do(request *http.Request) (status string, body []byte, err error) {
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return "", nil, err
	}
	body, err = io.ReadAll(response.Body)
	return response.Status, body, errors.Join(err, response.Body.Close())
}
