package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// explain prints the URLs and credentials, and how to try them.
func (b *backend) explain(out io.Writer) {
	f := b.facts
	fmt.Fprintf(out, `A backend with API keys runs at %s

1. A key was created for workspace %s (its secret is shown only now):
     client_id      %s
     client_secret  %s
     permissions    %s

2. Exchange the secret for a short-lived token:
     %s

3. Call a route with the token:
     TOKEN=$(%s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
     curl -i -H "Authorization: Bearer $TOKEN" %s

4. See what is refused:
     %s     # wrong secret: 401
     curl -i -H "Authorization: Bearer $TOKEN" %s     # permission missing: 403
     curl -i -H "Authorization: Bearer $TOKEN" %s     # another workspace: 404

Press Ctrl-C to stop.
`, f.BaseURL, f.Workspace, f.ClientID, f.ClientSecret, f.Scopes,
		b.curlLogin(f.ClientSecret), b.curlLogin(f.ClientSecret), f.ProtectedURL,
		b.curlLogin("lk_wrong"), f.ForbiddenURL, f.ForeignURL)
}

func (b *backend) curlLogin(secret string) string {
	return fmt.Sprintf("curl -s -d grant_type=client_credentials -d client_id=%s -d client_secret=%s %s",
		b.facts.ClientID, secret, b.facts.TokenURL)
}

// runSteps runs all steps with golang.org/x/oauth2, and with curl if it is installed.
func (b *backend) runSteps(ctx context.Context, out io.Writer) error {
	f := b.facts
	fmt.Fprintf(out, "A key was created for workspace %s: %s\n", f.Workspace, f.ClientID)
	cfg := clientcredentials.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, TokenURL: f.TokenURL}
	token, err := cfg.Token(ctx)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	fmt.Fprintf(out, "golang.org/x/oauth2 logged in: a %s token until %s\n", token.TokenType, token.Expiry.Format("15:04:05"))

	client := cfg.Client(ctx)
	for _, step := range []struct {
		what, url string
		want      int
	}{
		{"reads its projects", f.ProtectedURL, http.StatusOK},
		{"lacks a permission", f.ForbiddenURL, http.StatusForbidden},
		{"asks for another workspace", f.ForeignURL, http.StatusNotFound},
	} {
		status, err := get(ctx, client, step.url)
		if err != nil {
			return err
		}
		if status != step.want {
			return fmt.Errorf("the program %s: the status is %d instead of %d", step.what, status, step.want)
		}
		fmt.Fprintf(out, "the program %s: %d %s\n", step.what, status, http.StatusText(status))
	}

	wrong := cfg
	wrong.ClientSecret = f.ClientSecret[:len(f.ClientSecret)-1] + "!"
	var refused *oauth2.RetrieveError
	if _, err := wrong.Token(ctx); !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("a wrong secret was not refused with 401: %w", err)
	}
	fmt.Fprintf(out, "with a wrong secret: %s %s\n", refused.Response.Status, refused.ErrorCode)

	if err := b.runCurlSteps(ctx, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "All steps succeeded.")
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

// runCurlSteps runs the commands that explain prints.
func (b *backend) runCurlSteps(ctx context.Context, out io.Writer) error {
	if _, err := exec.LookPath("curl"); err != nil {
		fmt.Fprintln(out, "curl is not installed; its steps are skipped")
		return nil //nolint:nilerr // curl is optional
	}
	f := b.facts
	login := fmt.Sprintf(`TOKEN=$(%s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')`, b.curlLogin(f.ClientSecret))
	status := `curl -s -o /dev/null -w '%{http_code} '`
	script := strings.Join([]string{
		login,
		status + ` -H "Authorization: Bearer $TOKEN" ` + f.ProtectedURL,
		status + ` -H "Authorization: Bearer $TOKEN" ` + f.ForbiddenURL,
		status + ` -H "Authorization: Bearer $TOKEN" ` + f.ForeignURL,
		strings.Replace(b.curlLogin("lk_wrong"), "curl -s", status, 1),
	}, "\n")
	got, err := exec.CommandContext(ctx, "sh", "-c", script).Output() //nolint:gosec // the script holds no foreign input
	if err != nil {
		return fmt.Errorf("curl: %w", err)
	}
	if want := "200 403 404 401"; strings.TrimSpace(string(got)) != want {
		return fmt.Errorf("curl got the statuses %q instead of %q", strings.TrimSpace(string(got)), want)
	}
	fmt.Fprintln(out, "curl logged in and got 200, 403 and 404, and 401 with a wrong secret")
	return nil
}
