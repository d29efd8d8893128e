package request_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

func TestCredentials(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		want   string
		err    error
	}{
		{"one space", []string{"Basic x"}, "x", nil},
		{"several", []string{"Basic    x"}, "x", nil},
		{"any case", []string{"bASIC x y "}, "x y ", nil},
		{"a tab after the space", []string{"Basic \tx"}, "\tx", nil},
		{"none", nil, "", request.ErrAbsent},
		{"empty", []string{""}, "", request.ErrAbsent},
		{"another scheme", []string{"Bearer x"}, "", request.ErrAbsent},
		{"another scheme first", []string{"Bearer x, Basic y"}, "", request.ErrAbsent},
		{"a part of the scheme", []string{"Basi"}, "", request.ErrAbsent},
		{"alone", []string{"Basic"}, "", request.ErrMalformed},
		{"spaces and no more", []string{"Basic   "}, "", request.ErrMalformed},
		{"no space", []string{"Basicx"}, "", request.ErrMalformed},
		{"a tab", []string{"Basic\tx"}, "", request.ErrMalformed},
		{"two headers", []string{"Basic x", "Basic x"}, "", request.ErrMalformed},
		{"two headers of other schemes", []string{"", "Bearer x"}, "", request.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := request.Credentials(http.Header{"Authorization": tc.values}, "Basic")
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.want, got)
		})
	}
}

// FuzzCredentials tests that the result is the text after the scheme and spaces.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{"Basic x", "basic  x", "Basic", "Basic\tx", "", "Basic , Basic x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := request.Credentials(http.Header{"Authorization": {value}}, "Basic")
		if (err == nil) != (got != "") {
			t.Fatalf("%q and %v for %q", got, err, value)
		}
		if err != nil {
			return
		}
		scheme, found := strings.CutSuffix(value, got)
		if !found || !strings.EqualFold(strings.TrimRight(scheme, " "), "Basic") || len(scheme) == len("Basic") || got[0] == ' ' {
			t.Fatalf("%q for %q", got, value)
		}
	})
}

func TestMediaType(t *testing.T) {
	for value, want := range map[string]struct {
		kind string
		utf8 bool
	}{
		"application/json":                             {"application/json", true},
		"Application/JSON; Charset=UTF-8":              {"application/json", true},
		"application/json;charset=\"utf-8\"":           {"application/json", true},
		"application/json;charset=utf8":                {"application/json", true},
		"application/json;charset=us-ascii":            {"application/json", false},
		"application/json;charset=\"\"":                {"application/json", false},
		"text/plain;format=flowed":                     {"text/plain", true},
		"application/x-www-form-urlencoded":            {"application/x-www-form-urlencoded", true},
		"application/x-www-form-urlencoded;charset=x ": {"application/x-www-form-urlencoded", false},
	} {
		kind, utf8, ok := request.MediaType(http.Header{"Content-Type": {value}})
		require.True(t, ok, value)
		require.Equal(t, want.kind, kind, value)
		require.Equal(t, want.utf8, utf8, value)
	}
	for _, values := range [][]string{nil, {""}, {"application/"}, {"application/json", "application/json"}, {"a/b;charset=x;charset=y"}, {"a/b, c/d"}} {
		_, _, ok := request.MediaType(http.Header{"Content-Type": values})
		require.False(t, ok, "%q", values)
	}
	require.True(t, request.IsASCII("a\x7f\x00"))
	require.False(t, request.IsASCII([]byte("a\x80")))
}
