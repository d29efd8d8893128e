package oauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// floor is a login with the least possible work: the standard library, one key in a
// map, no rules, and no allocation but the signature's own. Its response has the
// same headers and claims as Latchkey's.
type floor struct {
	header string // of the token, base64url, with its dot
	sign   func(dst, signed []byte) []byte
	claims string // those that every token begins with
	tail   string // those that every token of this key ends with
	scope  string
	keys   map[string][sha256.Size]byte
	works  sync.Pool // of *floorWork
}

// floorWork is the memory that logins reuse.
type floorWork struct {
	mac                        hash.Hash
	body, claims, token, reply []byte
	sum                        [sha256.Size]byte
	jti                        [16]byte
	signature                  [64]byte
}

// random is the source of an ECDSA signature's number; nil derives it from the key
// and the payload (RFC 6979).
func newFloor(alg, kid string, key any, random io.Reader, pepper []byte, claims, tail, scope, id, secret string) *floor {
	f := &floor{claims: claims, tail: tail, scope: scope, keys: make(map[string][sha256.Size]byte)}
	f.header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","kid":"`+kid+`","typ":"at+jwt"}`)) + "."
	f.works.New = func() any {
		return &floorWork{
			mac:  hmac.New(sha256.New, pepper),
			body: make([]byte, 4096), claims: make([]byte, 0, 4096), token: make([]byte, 0, 4096), reply: make([]byte, 0, 4096),
		}
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		f.sign = func(dst, signed []byte) []byte {
			digest := sha256.Sum256(signed)
			der, err := k.Sign(random, digest[:], crypto.SHA256)
			if err != nil {
				return dst
			}
			var raw [64]byte
			for half, rest := 0, der[2:]; half < 2; half++ { // two INTEGERs, each of 33 bytes at most
				number := rest[2 : 2+int(rest[1])]
				rest = rest[2+len(number):]
				if len(number) > 32 {
					number = number[1:]
				}
				copy(raw[32*(half+1)-len(number):32*(half+1)], number)
			}
			return append(dst, raw[:]...)
		}
	case ed25519.PrivateKey:
		f.sign = func(dst, signed []byte) []byte { return append(dst, ed25519.Sign(k, signed)...) }
	case []byte:
		// This is idiomatic code, with its own allocations. Code that reuses the
		// state for the next signature saves a third.
		f.sign = func(dst, signed []byte) []byte {
			mac := hmac.New(sha256.New, k)
			mac.Write(signed)
			return mac.Sum(dst)
		}
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(id + secret))
	f.keys[id] = [sha256.Size]byte(mac.Sum(nil))
	return f
}

var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noCache  = []string{"no-cache"}
	noSniff  = []string{"nosniff"}
)

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	work, _ := f.works.Get().(*floorWork)
	defer f.works.Put(work)
	body := work.read(r.Body)
	var grant, id, secret []byte
	for rest, more := body, true; more; {
		var pair []byte
		pair, rest, more = cutByte(rest, '&')
		name, value, _ := cutByte(pair, '=')
		switch string(name) {
		case "grant_type":
			grant = value
		case "client_id":
			id = value
		case "client_secret":
			secret = value
		}
	}
	work.mac.Reset()
	work.mac.Write(id)
	work.mac.Write(secret)
	sum := work.mac.Sum(work.sum[:0])
	want, known := f.keys[string(id)]
	if subtle.ConstantTimeCompare(sum, want[:]) != 1 || !known || string(grant) != "client_credentials" {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	f.grant(w, work)
}

// grant makes a token and writes the response.
func (f *floor) grant(w http.ResponseWriter, work *floorWork) {
	now := time.Now().Unix()
	claims := append(work.claims[:0], f.claims...)
	claims = strconv.AppendInt(append(claims, `"exp":`...), now+900, 10)
	claims = strconv.AppendInt(append(claims, `,"iat":`...), now, 10)
	claims = append(claims, `,"jti":"`...)
	_, _ = rand.Read(work.jti[:])
	claims = base64.RawURLEncoding.AppendEncode(claims, work.jti[:])
	claims = append(claims, f.tail...)
	token := base64.RawURLEncoding.AppendEncode(append(work.token[:0], f.header...), claims)
	token = base64.RawURLEncoding.AppendEncode(append(token, '.'), f.sign(work.signature[:0], token))
	reply := append(append(work.reply[:0], `{"access_token":"`...), token...)
	reply = append(reply, `","token_type":"Bearer","expires_in":900,"scope":"`...)
	reply = append(append(reply, f.scope...), "\"}\n"...)
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Pragma"], h["X-Content-Type-Options"] = jsonType, noStore, noCache, noSniff
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(reply)
}

// read returns the body, or nothing if it cannot be read.
func (work *floorWork) read(body io.Reader) []byte {
	n := 0
	for {
		read, err := body.Read(work.body[n:])
		n += read
		if err == io.EOF {
			return work.body[:n]
		}
		if err != nil || n == len(work.body) {
			return nil
		}
	}
}

func cutByte(text []byte, sep byte) (before, after []byte, found bool) {
	for i, c := range text {
		if c == sep {
			return text[:i], text[i+1:], true
		}
	}
	return text, nil, false
}

// call is a request and its ResponseWriter, made once and reused, so that only the
// handler is measured.
type call struct {
	request *http.Request
	text    string
	body    strings.Reader
	header  http.Header
	status  int
	reply   []byte
}

func newCall(text string) *call {
	c := &call{text: text, header: make(http.Header), reply: make([]byte, 0, 4096)}
	c.request = &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: "/api/login"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {form}}, Host: "127.0.0.1", RemoteAddr: "192.0.2.7:4711",
		ContentLength: int64(len(text)), Body: c,
	}
	return c
}

// to makes one login, with a new body and an empty response header.
func (c *call) to(handler http.Handler) error {
	c.body.Reset(c.text)
	clear(c.header)
	c.status, c.reply = 0, c.reply[:0]
	handler.ServeHTTP(c, c.request)
	if c.status != http.StatusOK {
		return fmt.Errorf("%d %s", c.status, c.reply)
	}
	return nil
}

func (c *call) Read(p []byte) (int, error)      { return c.body.Read(p) }
func (c *call) Close() error                    { return nil }
func (c *call) Header() http.Header             { return c.header }
func (c *call) WriteHeader(status int)          { c.status = status }
func (c *call) Write(p []byte) (int, error)     { c.reply = append(c.reply, p...); return len(p), nil }
func (c *call) SetReadDeadline(time.Time) error { return nil }
