package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// explain prints commands that try the resource server.
func explain(of issuer, base string, out io.Writer) {
	fmt.Fprintf(out, `A resource server runs at %s and accepts the tokens of %s

     TOKEN=$(curl -s -u %s:%s -d grant_type=client_credentials %s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
     curl -i -H "Authorization: Bearer $TOKEN" %s/workspaces/team-a/reports
     curl -i -H "Authorization: Bearer $TOKEN" %s/workspaces/team-b/reports     # another workspace: 404
     curl -i -u %s:%s -d token=$TOKEN %s/api/revoke     # then the first curl is refused: 401

Press Ctrl-C to stop.
`, base, of.Issuer, of.ClientID, of.ClientSecret, of.TokenURL, base, base, of.ClientID, of.ClientSecret, of.BaseURL)
}

// runSteps runs all steps with golang.org/x/oauth2.
func runSteps(ctx context.Context, of issuer, base string, out io.Writer) error {
	cfg := clientcredentials.Config{ClientID: of.ClientID, ClientSecret: of.ClientSecret, TokenURL: of.TokenURL}
	token, err := cfg.Token(ctx)
	if err != nil {
		return fmt.Errorf("log in at the issuer: %w", err)
	}
	fmt.Fprintln(out, "logged in at the issuer", of.Issuer)
	client := oauth2.NewClient(ctx, oauth2.StaticTokenSource(token))
	reports := base + "/workspaces/team-a/reports"
	for _, step := range []struct {
		what, url string
		want      int
	}{
		{"the resource server accepts its token", reports, http.StatusOK},
		{"the token does not reach another workspace", base + "/workspaces/team-b/reports", http.StatusNotFound},
	} {
		status, err := get(ctx, client, step.url)
		if err != nil {
			return err
		}
		if status != step.want {
			return fmt.Errorf("%s: the status is %d instead of %d", step.what, status, step.want)
		}
		fmt.Fprintf(out, "%s: %d\n", step.what, status)
	}
	if err := revoke(ctx, of, token.AccessToken); err != nil {
		return err
	}
	fmt.Fprintln(out, "the token was revoked at the issuer")
	// The resource server caches an introspection answer for one second, so the refusal
	// may come later.
	for deadline := time.Now().Add(time.Minute); ; {
		status, err := get(ctx, client, reports)
		if err != nil {
			return err
		}
		if status == http.StatusUnauthorized {
			fmt.Fprintln(out, "the resource server refuses it: 401")
			fmt.Fprintln(out, "All steps succeeded.")
			return nil
		}
		if status != http.StatusOK || time.Now().After(deadline) {
			return fmt.Errorf("a revoked token: the status is %d instead of 401", status)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// revoke revokes a token (RFC 7009).
func revoke(ctx context.Context, of issuer, token string) error {
	form := url.Values{"token": {token}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, of.BaseURL+"/api/revoke", strings.NewReader(form))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(of.ClientID), url.QueryEscape(of.ClientSecret))
	status, err := do(http.DefaultClient, request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("revoke the token: the status is %d instead of 200", status)
	}
	return err
}

func get(ctx context.Context, client *http.Client, from string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, err
	}
	return do(client, request)
}

func do(client *http.Client, request *http.Request) (int, error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}
