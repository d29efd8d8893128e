package bearer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

const (
	// maxAnswer bounds the body of answers, in bytes.
	maxAnswer = jose.MaxKeySet
	// maxHeader bounds the header of answers in bytes, unless the configuration has
	// a client of its own.
	maxHeader = 16 << 10
	// maxTimeout is the largest Timeout that can be configured.
	maxTimeout = time.Minute
)

// endpoint is a URL of the issuer that this package calls. It follows no
// redirect, because a redirect could lead to another host, or from https to
// http, which the configuration did not allow.
type endpoint struct {
	url     string
	client  *http.Client
	timeout time.Duration
	// fromAnswer says that the URL came from an answer, so that errors may not contain
	// its host.
	fromAnswer bool
}

// newEndpoint checks its arguments. If client is nil, it makes one.
func newEndpoint(address string, insecureLoopback bool, client *http.Client, timeout time.Duration) (endpoint, error) {
	var problems []error
	if err := checkAddress(address, insecureLoopback); err != nil {
		problems = append(problems, fmt.Errorf("URL: %w", err))
	}
	if timeout <= 0 || timeout > maxTimeout {
		problems = append(problems, fmt.Errorf("Timeout: is %v, must be above 0 and at most %v", timeout, maxTimeout))
	}
	var copied http.Client
	if client != nil {
		copied = *client
	} else {
		copied.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // so that maxAnswer bounds what is sent
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    32,
			IdleConnTimeout:        time.Minute,
		}
	}
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	copied.Jar = nil // no cookies: calls are independent
	return endpoint{url: address, client: &copied, timeout: timeout}, errors.Join(problems...)
}

// checkAddress requires an absolute https URL. Its errors do not contain the
// URL, because it may hold a password.
func checkAddress(address string, insecureLoopback bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || !request.IsPrintable(address) || u.Hostname() == "" || u.Opaque != "":
		return errors.New("must be an absolute URL")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case strings.Contains(address, "#"):
		return errors.New("must not have a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http" || !insecureLoopback:
		return errors.New("must be an https URL; InsecureLoopback allows http for a loopback host")
	case !request.IsLoopback(u.Hostname()):
		return errors.New("must be an https URL: the host of an http URL must be localhost or a loopback address")
	}
	return nil
}

// call sends a request and returns the body of a 200 answer. ctx is not that of a
// caller: several may wait for the answer, and the first of them may give up. The errors
// contain no part of the request or the answer.
func (e *endpoint) call(ctx context.Context, method, body string, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, e.url, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	request.Header = header
	response, err := e.client.Do(request)
	if err != nil {
		return nil, e.reason(err)
	}
	defer response.Body.Close() //nolint:errcheck // the body was read or is not needed
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered with status %d instead of 200", response.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, e.reason(err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	}
	return answer, nil
}

// reason returns an error for the log that says why a call failed. net/http
// quotes malformed answers, and a broken server may echo a token or a password.
// So only the texts of errors that contain nothing of an answer are kept.
func (e *endpoint) reason(err error) error {
	var network net.Error
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &network) && network.Timeout():
		return errors.New("the server did not answer in time")
	case e.fromAnswer && (errors.As(err, &lookup) || errors.As(err, &certificate)):
		return errors.New("the host cannot be found, or its certificate is not valid")
	case errors.As(err, &certificate):
		return errors.New(certificate.Error())
	case errors.As(err, &operation):
		shown := *operation
		shown.Source = nil // the port differs each time, and so would the reason in the log
		if e.fromAnswer {
			shown.Addr = nil
		}
		return errors.New(shown.Error())
	}
	return errors.New("the server sent no valid HTTP answer")
}
