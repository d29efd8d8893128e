package request

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// Timeout is the host's bound on a request, Config.Timeout, or its default.
func Timeout(bound time.Duration) (time.Duration, error) {
	bound = cmp.Or(bound, 2*time.Second)
	if bound < 10*time.Millisecond || bound > 5*time.Minute {
		return bound, fmt.Errorf("Config.Timeout is %s; it must be from 10ms to 5m", bound)
	}
	return bound, nil
}

// Body is the body of a request that may take only so long to come in. The zero Body
// needs no bound.
type Body struct{ connection http.ResponseWriter }

// HoldBody bounds how long the body may take to come in, also where nobody
// reads it: net/http reads what a handler left over before it answers.
//
// The time is real, not the host's clock: it is a connection that waits. A
// tighter bound of the host's own server stays, and a ResponseWriter without
// deadlines has its server's only.
func HoldBody(w http.ResponseWriter, r *http.Request, bound time.Duration) Body {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.ReadTimeout > 0 && server.ReadTimeout <= bound || r.Body == nil || r.Body == http.NoBody {
		return Body{}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bound)) //nolint:errcheck,forbidigo // see above
	return Body{w}
}

// Release lifts the bound. It is called once the body is read. net/http lifts it at the
// body's end, but not if a middleware read that before: then the end of the time would
// look like a caller who hung up.
func (b Body) Release() {
	if b.connection != nil {
		_ = http.NewResponseController(b.connection).SetReadDeadline(time.Time{}) //nolint:errcheck // see HoldBody
	}
}

// ReadBody reads at most limit bytes into a buffer. What is longer is refused by its
// declared length, or else as soon as that shows.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int, into *bytes.Buffer) *answer.Refusal {
	if r.ContentLength > int64(limit) {
		return tooLarge(w)
	}
	if r.Body == nil {
		return nil
	}
	for into.Len() <= limit {
		if into.Available() == 0 {
			into.Grow(1 << 10) // most bodies fit in, and most answers
		}
		free := into.AvailableBuffer()
		n, err := r.Body.Read(free[:min(cap(free), limit+1-into.Len())])
		into.Write(free[:n])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return Unreadable(w, err)
		}
	}
	return tooLarge(w)
}

// Unreadable says why reading a body failed.
func Unreadable(w http.ResponseWriter, err error) *answer.Refusal {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		stopReading(w)
		return &answer.Refusal{Kind: answer.Late, Detail: "The body did not come in time."}
	}
	return &answer.Refusal{Kind: answer.Malformed, Detail: "The body could not be read."}
}

func tooLarge(w http.ResponseWriter) *answer.Refusal {
	stopReading(w)
	return &answer.Refusal{Kind: answer.TooLarge}
}

// stopReading ends the connection with this answer. Without a deadline in the
// past net/http would still take in what the client goes on sending. A limit
// that was hit makes it wait for the client to have read the answer: to close
// at once, with unread bytes in the way, would reset the connection under it.
func stopReading(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	hit := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = hit.Read(make([]byte, 1))                                   //nolint:errcheck // its error is the point
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // see HoldBody
}
