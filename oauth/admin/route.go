package admin

import (
	_ "embed" // the document
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// route is one entry of the table of routes. The tests of the OpenAPI document and
// of isolation use the table, too.
type route struct {
	method  string
	pattern string   // "/keys/{key}/rotate": literal segments and parameters
	query   []string // the query parameters that it accepts
	body    []string // the members that its body may hold; nil: the body is not read
	public  bool     // needs no actor
	serve   func(*Handler, *call) error
}

// The query parameters of lists of keys.
var keyListQuery = []string{
	"text", "permission", "created_by", "created_by_kind", "disabled", "expires_from", "expires_to",
	"last_used_from", "last_used_to", "sort", "order", "limit", "cursor",
}

var (
	eventQuery  = []string{"key", "action", "actor", "from", "to", "limit", "cursor"}
	pageQuery   = []string{"limit", "cursor"}
	periodQuery = []string{"from", "to"}
)

// The members that a body may hold. All members of settings are required, so that
// no rule is lifted because it was left out.
var (
	noMembers        = []string{}
	idMembers        = []string{"ids"}
	textMembers      = []string{"secret"}
	specMembers      = []string{"name", "permissions", "expires_at", "resources", "direct"}
	newKeyMembers    = []string{"name", "permissions", "expires_at", "resources", "direct", "secret", "public_keys", "trusts"}
	publicKeyMembers = []string{"name", "public_key", "expires_at", "endpoint_audience", "long_assertions"}
	trustMembers     = []string{"name", "issuer", "claims", "expires_at"}
	replaceMembers   = []string{"replaces", "grace"}
	rotateMembers    = []string{"grace", "name", "permissions", "expires_at", "resources", "direct"}
	workspaceMembers = []string{
		"max_keys", "unlimited_keys", "require_expiry", "max_lifetime", "enforced_at",
		"key_requests", "unlimited_key_requests", "workspace_requests", "unlimited_workspace_requests",
	}
	settingsMembers = []string{
		"keys_enabled", "direct_enabled", "max_keys", "require_expiry", "max_lifetime", "enforced_at",
		"key_requests", "workspace_requests", "reminders_enabled", "remind_before",
	}
)

// routes returns the table.
func routes() []route {
	get, post, put, patch, remove := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	return []route{
		{get, "/openapi.json", nil, nil, true, (*Handler).openAPI},

		{get, "/me", nil, nil, false, (*Handler).me},
		{get, "/permissions", nil, nil, false, (*Handler).catalog},
		{get, "/trusted_issuers", nil, nil, false, (*Handler).trustedIssuers},

		{get, "/keys", keyListQuery, nil, false, (*Handler).listKeys},
		{get, "/workspaces/{workspace}/keys", keyListQuery, nil, false, (*Handler).listKeys},
		{post, "/workspaces/{workspace}/keys", nil, newKeyMembers, false, once((*Handler).createKey)},
		{get, "/keys/{key}", nil, nil, false, (*Handler).readKey},
		{patch, "/keys/{key}", nil, specMembers, false, (*Handler).changeKey},
		{remove, "/keys/{key}", nil, nil, false, (*Handler).deleteKey},
		{post, "/keys/{key}/rotate", nil, rotateMembers, false, once((*Handler).rotateKey)},
		{post, "/keys/{key}/disable", nil, noMembers, false, changeByID((*apikey.Service).Disable)},
		{post, "/keys/{key}/enable", nil, noMembers, false, changeByID((*apikey.Service).Enable)},
		{post, "/keys/{key}/public_keys", nil, slices.Concat(publicKeyMembers, replaceMembers), false, once(addCredential(readPublicKey))},
		{post, "/keys/{key}/trusts", nil, slices.Concat(trustMembers, replaceMembers), false, once(addCredential(readTrust))},
		{remove, "/keys/{key}/credentials/{credential}", nil, nil, false, (*Handler).retire},
		{get, "/keys/{key}/usage", periodQuery, nil, false, (*Handler).keyUsage},
		{post, "/deletions", nil, idMembers, false, (*Handler).deleteKeys},
		{post, "/find_secret", nil, textMembers, false, (*Handler).findSecret},

		{get, "/workspaces", pageQuery, nil, false, (*Handler).listWorkspaces},
		{get, "/workspaces/{workspace}/permissions", nil, nil, false, (*Handler).grantable},
		{get, "/violations", pageQuery, nil, false, (*Handler).listViolations},
		{get, "/workspaces/{workspace}/violations", pageQuery, nil, false, (*Handler).listViolations},
		{get, "/outdated", pageQuery, nil, false, (*Handler).listOutdated},
		{get, "/events", eventQuery, nil, false, (*Handler).listEvents},
		{get, "/workspaces/{workspace}/events", eventQuery, nil, false, (*Handler).listEvents},

		{get, "/settings", nil, nil, false, (*Handler).readSettings},
		{put, "/settings", nil, settingsMembers, false, (*Handler).saveSettings},
		{post, "/settings/preview", pageQuery, settingsMembers, false, (*Handler).previewSettings},
		{post, "/settings/revoke_tokens", nil, noMembers, false, (*Handler).revokeTokens},
		{get, "/workspaces/{workspace}/settings", nil, nil, false, (*Handler).readWorkspace},
		{put, "/workspaces/{workspace}/settings", nil, workspaceMembers, false, (*Handler).saveWorkspace},
		{post, "/workspaces/{workspace}/settings/preview", pageQuery, workspaceMembers, false, (*Handler).previewWorkspace},
		{post, "/workspaces/{workspace}/suspend", nil, noMembers, false, suspension(true)},
		{post, "/workspaces/{workspace}/resume", nil, noMembers, false, suspension(false)},
	}
}

// conditional reports whether the route takes an ETag in If-Match: it replaces
// settings or changes one key.
func (t *route) conditional() bool {
	return t.method == http.MethodPut || t.method != http.MethodGet && strings.HasPrefix(t.pattern, "/keys/{key}")
}

// find returns the route of a request and the values of its parameters, or the methods
// that the path allows. It unescapes each segment, but does not clean the path otherwise,
// so that no object has two paths. The values are copies, because some servers reuse the
// memory of a request (fasthttp).
func find(table []route, r *http.Request) (match *route, params map[string]string, allowed []string) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(strings.Clone(r.URL.EscapedPath()), "/")
	for i, segment := range segments {
		segments[i], _ = url.PathUnescape(segment) //nolint:errcheck // an escaped path is well formed
	}
	for i := range table {
		values, ok := table[i].match(segments)
		switch {
		case !ok:
		case table[i].method == method:
			return &table[i], values, nil
		case table[i].method == http.MethodGet:
			allowed = append(allowed, http.MethodGet, http.MethodHead)
		default:
			allowed = append(allowed, table[i].method)
		}
	}
	return nil, nil, allowed
}

// match compares the segments of a path with the pattern, and returns the values of
// the parameters.
func (t *route) match(segments []string) (map[string]string, bool) {
	pattern := strings.Split(t.pattern, "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, want := range pattern {
		name, isParameter := strings.CutPrefix(want, "{")
		switch {
		case isParameter && segments[i] != "":
			values[strings.TrimSuffix(name, "}")] = segments[i]
		case want != segments[i]:
			return nil, false
		}
	}
	return values, true
}

//go:embed openapi.json
var document []byte

// openAPI serves GET /openapi.json, which is public.
func (h *Handler) openAPI(c *call) error {
	c.w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	answer.Write(c.w, http.StatusOK, "application/json", document)
	return nil
}
