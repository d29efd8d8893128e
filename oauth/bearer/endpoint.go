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
	// maxAnswer bounds every answer that is read from an issuer, in bytes.
	maxAnswer = jose.MaxKeySet
	// maxHeader bounds an answer's header where the client is this package's.
	maxHeader = 16 << 10
	// maxTimeout is the longest that a call may be allowed to take.
	maxTimeout = time.Minute
)

// endpoint is a URL of the issuer that this package calls. It follows no
// redirect: what the issuer's host says about another host, or about http,
// is not the configuration's word.
type endpoint struct {
	url     string
	client  *http.Client
	timeout time.Duration
}

// newEndpoint takes a nil client for one of its own.
func newEndpoint(address string, insecureLoopback bool, client *http.Client, timeout time.Duration) (endpoint, error) {
	var problems []error
	if err := checkAddress(address, insecureLoopback); err != nil {
		problems = append(problems, fmt.Errorf("URL: %w", err))
	}
	if timeout <= 0 || timeout > maxTimeout {
		problems = append(problems, fmt.Errorf("Timeout: is %v, not above 0 and up to %v", timeout, maxTimeout))
	}
	var copied http.Client
	if client != nil {
		copied = *client
	} else {
		copied.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // the bound is on what is sent
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    32,
			IdleConnTimeout:        time.Minute,
		}
	}
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	copied.Jar = nil // one caller's answer sets nothing for the next
	return endpoint{url: address, client: &copied, timeout: timeout}, errors.Join(problems...)
}

// checkAddress asks for an absolute https URL. Its errors do not repeat it,
// since it may hold a password.
func checkAddress(address string, insecureLoopback bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || !request.IsPrintable(address) || u.Hostname() == "" || u.Opaque != "":
		return errors.New("is not an absolute URL")
	case u.User != nil:
		return errors.New("may not hold a user name or password")
	case strings.Contains(address, "#"):
		return errors.New("may not have a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http" || !insecureLoopback:
		return errors.New("is not an https URL; http is for a loopback host with InsecureLoopback")
	case !request.IsLoopback(u.Hostname()):
		return errors.New("is an http URL whose host is neither localhost nor a loopback address")
	}
	return nil
}

// call sends a request and returns the body of a 200 answer. It is bounded by
// the endpoint's timeout and by nobody's context: several callers may wait for
// the answer, and the first of them may hang up. The errors repeat nothing
// that was sent either way.
func (e *endpoint) call(method, body string, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, e.url, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	request.Header = header
	response, err := e.client.Do(request)
	if err != nil {
		return nil, reason(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read, or is not wanted
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer's status is %d, not 200", response.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return answer, nil
}

// reason says why a call failed. net/http quotes malformed answers, and a
// broken server may echo a token or a password: only errors that come from
// this side are told in their own words.
func reason(err error) error {
	var network net.Error
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &network) && network.Timeout():
		return errors.New("there was no full answer in time")
	case errors.As(err, &certificate):
		return errors.New(certificate.Error())
	case errors.As(err, &operation):
		shown := *operation
		shown.Source = nil // another port each time would make each log line new
		return errors.New(shown.Error())
	}
	return errors.New("there was no valid HTTP answer")
}
