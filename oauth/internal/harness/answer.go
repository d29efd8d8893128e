package harness

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Answer is a response whose body has been read.
type Answer struct {
	*http.Response
	Body string
}

// Member returns a member of the answer's JSON object, nil if there is none.
func (a Answer) Member(name string) any {
	var object map[string]any
	if json.Unmarshal([]byte(a.Body), &object) != nil {
		return nil
	}
	return object[name]
}

func (a Answer) text(name string) string {
	text, _ := a.Member(name).(string)
	return text
}

// Code returns the error of RFC 6749, section 5.2, or the empty string.
func (a Answer) Code() string { return a.text("error") }

// Description returns what the error says, or the empty string.
func (a Answer) Description() string { return a.text("error_description") }

// Token returns the access token of a login's answer, or the empty string.
func (a Answer) Token() string { return a.text("access_token") }

// Into decodes the answer's JSON into v, which must have every member.
func (a Answer) Into(t testing.TB, v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(v), a.Body)
}

// NewRequest makes a request. headers are names and values in turn; a name may
// come twice.
func NewRequest(ctx context.Context, method, url, body string, headers ...string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r, nil
}

// Do sends a request and reads its answer to the end. It follows no redirect.
func Do(client *http.Client, r *http.Request) (Answer, error) {
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := direct.Do(r)
	if err != nil {
		return Answer{}, err
	}
	return Read(response)
}

// Read reads a response to its end.
func Read(response *http.Response) (Answer, error) {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return Answer{response, string(text)}, err
}

// Serve calls a handler without a network and returns its answer.
func Serve(handler http.Handler, r *http.Request) Answer {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return Answer{response, recorder.Body.String()}
}
