package mounting_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
	"github.com/stretchr/testify/require"
)

func TestLambda(t *testing.T) { testMount(t, onLambda, true) }

// onLambda is a whole handler for AWS Lambda. In main it is
//
//	lambda.Start(httpadapter.NewV2(a.Handler(mux)).ProxyWithContext)
func onLambda(a app) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", a.management))
	mux.Handle("/console/", http.StripPrefix("/console", a.console))
	handle := func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(answerOf(r.Context(), r.PathValue("workspace"))) // fails only if the client has disconnected
	}
	mux.Handle("GET /workspaces/{workspace}/projects", a.Require("project.list").InPath("workspace")(http.HandlerFunc(handle)))
	mux.Handle("GET /workspaces/{workspace}/invoices", a.Require("billing.read").InPath("workspace")(http.HandlerFunc(handle)))
	mux.Handle("GET /forgotten/{team}", a.Require("project.list").InPath("workspace")(http.HandlerFunc(handle)))
	mux.HandleFunc("GET /open", handle)
	return gateway(httpadapter.NewV2(a.Handler(mux)))
}

// gateway does what API Gateway and Lambda do: it turns a request into an event, which has the
// client's address without a port, and the answer's event into an answer.
func gateway(lambda *httpadapter.HandlerAdapterV2) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		address, _, _ := net.SplitHostPort(r.RemoteAddr)
		event := events.APIGatewayV2HTTPRequest{
			RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Headers: map[string]string{},
			Body: base64.StdEncoding.EncodeToString(body), IsBase64Encoded: true,
		}
		for name, values := range r.Header {
			event.Headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
		event.RequestContext.DomainName = r.Host
		event.RequestContext.HTTP = events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, SourceIP: address}
		answer, err := lambda.ProxyWithContext(context.Background(), event) //nolint:contextcheck // Lambda has no http.Server
		if err != nil {                                                     // for example because the handler has set no status
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		for name, value := range answer.Headers {
			w.Header().Set(name, value)
		}
		text := []byte(answer.Body)
		if answer.IsBase64Encoded {
			text, _ = base64.StdEncoding.DecodeString(answer.Body)
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(text) // fails only if the client has disconnected
	})
}

// TestLambdaAddress: an address without a port counts as the client's.
func TestLambdaAddress(t *testing.T) {
	for network, status := range map[string]int{"127.0.0.0/8": http.StatusOK, "192.0.2.0/24": http.StatusBadRequest} {
		h := serve(t, onLambda, allowOnly(netip.MustParsePrefix(network)))
		id, secret := h.newKey(t, "team-a")
		got, _, body := h.send(t, http.MethodPost, "/api/login", `{"clientId":"`+id+`","clientSecret":"`+secret+`"}`, "Content-Type", "application/json")
		require.Equal(t, status, got, body)
		require.NotContains(t, h.log.String(), "the address of a request's client is unknown")
	}
}
