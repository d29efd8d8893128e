package oauthtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
)

// RoundTripper answers the requests of a client under test in the process,
// without a network: requests for the server's own paths (login, JWKS, metadata)
// by the server, all others by the mounted handler. It ignores the host of a
// request's URL, so the client can use its production URLs. It is safe for
// concurrent use.
type RoundTripper struct {
	handler   http.Handler
	tokenPath string
	logins    atomic.Int64
	others    atomic.Int64
}

// RoundTripper returns a transport for a client under test:
//
//	sdk := NewSDK(&http.Client{Transport: auth.RoundTripper()}, id, secret)
func (s *Server) RoundTripper() *RoundTripper {
	rt := &RoundTripper{handler: s.web.Config.Handler}
	if u, err := url.Parse(s.TokenURL); err == nil {
		rt.tokenPath = u.Path
	}
	return rt
}

// Logins returns the number of requests to the login path, including refused ones.
func (rt *RoundTripper) Logins() int { return int(rt.logins.Load()) }

// OtherRequests returns the number of all other requests.
func (rt *RoundTripper) OtherRequests() int { return int(rt.others.Load()) }

// RoundTrip implements http.RoundTripper. It does not recover a panic of the
// handler.
func (rt *RoundTripper) RoundTrip(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.URL == nil || r.URL.Host == "" {
		return nil, errors.New("oauthtest: the request's URL has no host")
	}
	received, err := asReceived(r)
	if err != nil {
		return nil, fmt.Errorf("oauthtest: the request's URL: %w", err)
	}
	if received.URL.Path == rt.tokenPath {
		rt.logins.Add(1)
	} else {
		rt.others.Add(1)
	}
	answer := httptest.NewRecorder()
	rt.handler.ServeHTTP(answer, received)
	response = answer.Result()
	response.Request = r
	return response, nil
}

// asReceived converts a client's request to the form that a server gets.
func asReceived(r *http.Request) (*http.Request, error) {
	in := r.Clone(r.Context())
	in.RemoteAddr = loopback
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.RequestURI = r.URL.RequestURI()
	var err error
	if in.URL, err = url.ParseRequestURI(in.RequestURI); err != nil {
		return nil, err
	}
	in.GetBody, in.Response = nil, nil
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Header == nil {
		in.Header = make(http.Header)
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	return in, nil
}
