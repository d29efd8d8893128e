package admin

import "net/http"

// The codes at the end of a problem's type.
const (
	CodeMalformed            = "malformed"             // 400
	CodeUnauthorized         = "unauthorized"          // 401
	CodeForbidden            = "forbidden"             // 403
	CodeCrossOrigin          = "cross-origin"          // 403
	CodePolicy               = "policy"                // 403, and 429 with Retry-After
	CodeNotFound             = "not-found"             // 404
	CodeMethodNotAllowed     = "method-not-allowed"    // 405
	CodeConflict             = "conflict"              // 409
	CodeAlreadyDone          = "already-done"          // 409
	CodeChanged              = "changed"               // 412
	CodeTooLarge             = "too-large"             // 413
	CodeMediaType            = "media-type"            // 415
	CodeInvalid              = "invalid"               // 422
	CodeIdempotencyMismatch  = "idempotency-mismatch"  // 422
	CodePreconditionRequired = "precondition-required" // 428
	CodeInternal             = "internal"              // 500
	CodeNotKept              = "not-kept"              // 501
	CodeUnavailable          = "unavailable"           // 503
)

// Entry is a route of the table.
type Entry struct {
	Method, Pattern string
	Query           []string
	Public          bool
}

// Table returns the routes.
func Table() []Entry {
	var table []Entry
	for _, t := range routes() {
		table = append(table, Entry{t.method, t.pattern, t.query, t.public})
	}
	return table
}

// Find returns the pattern and parameters of a request below the prefix, or an empty
// pattern.
func Find(r *http.Request) (pattern string, params map[string]string) {
	match, params, _ := find(routes(), r)
	if match == nil {
		return "", nil
	}
	return match.pattern, params
}

// Refuse answers a request with an error. hasVersion: the request had an If-Match.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, hasVersion bool, err error) {
	(&call{h: h, w: w, r: r, hasVersion: hasVersion}).refuse(err)
}

// Document is the OpenAPI document.
func Document() []byte { return document }

// ParseETag returns the version that an ETag names.
func ParseETag(tag string) (version int64, ok bool) { return parseETag(tag) }
