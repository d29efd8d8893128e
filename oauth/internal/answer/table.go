// Package answer has the table of error responses over HTTP, and writes them. It
// has one row for each kind of error; package outcome finds the kind of an error.
package answer

import "time"

// Kind is a kind of error: a row of the table.
type Kind int

// Failed is a fault of the server, and every error of no other kind.
const (
	Failed Kind = iota
	Unavailable
	// At endpoints where a client authenticates, such as the login.
	Credentials
	Throttled
	Refused
	Scope
	Target
	Unsigned
	UnsupportedGrant
	UnsupportedResponse
	// Of policies.
	Denied
	DeniedForNow
	DeniedExpired
	DeniedDirect
	// Of tokens.
	InvalidToken
	Insufficient
	OtherWorkspace
	// Of requests.
	Unauthorized
	Malformed
	Late
	TooLarge
	MediaType
	Method
	CrossOrigin
	// Of management.
	Invalid
	Forbidden
	NotFound
	NotKept
	Conflict
	Changed
	PreconditionRequired
	AlreadyDone
	IdempotencyMismatch
	// Of the console.
	StaleForm
	kinds
)

// Wire is the part of a response that programs read. The zero Wire means that
// errors of this kind do not occur there.
type Wire struct {
	Status int
	Code   string
}

// Row is the response to errors of one kind.
type Row struct {
	// OAuth is for the endpoints of package oauth and for guards. Its codes are
	// those of RFC 6749, section 5.2, RFC 6750, section 3.1, and RFC 8707, section
	// 2.
	OAuth Wire
	// Manage is for the management API, whose problem types end with the code, and
	// for the console.
	Manage Wire
	// Problem says what is wrong, in one sentence without its period.
	Problem string
	// Remedy says what to do about it. PageRemedy says it for a person with a browser;
	// empty: the same.
	Remedy, PageRemedy string
	// RetryAfter is how long to wait before the next try, if the error does not
	// say.
	RetryAfter time.Duration
}

// Row returns the row of a kind.
func (k Kind) Row() Row {
	const (
		denied = "A policy of this service refused the request"
		ask    = "Go back and change what it asks for, or ask an administrator."
		unread = "The request cannot be read"
		again  = "Nothing was done. Open the page again and send the form from there."
	)
	return [kinds]Row{
		Failed: {OAuth: Wire{500, "server_error"}, Manage: Wire{500, "internal"},
			Problem: "The service failed", Remedy: "Try again. If it fails again, ask the operators of this service, whose log says why."},
		Unavailable: {OAuth: Wire{503, "temporarily_unavailable"}, Manage: Wire{503, "unavailable"}, RetryAfter: time.Second,
			Problem: "The service is unavailable at the moment", Remedy: "Try again shortly.",
			PageRemedy: "Try again shortly. If you sent a form, check first whether the change was made."},

		Credentials:         {OAuth: Wire{401, "invalid_client"}, Problem: "The client id, the secret or the assertion is wrong"},
		Throttled:           {OAuth: Wire{429, "temporarily_unavailable"}, Problem: "Too many failed logins", Remedy: "Wait, then try again with the right credentials."},
		Refused:             {OAuth: Wire{401, "invalid_client"}, Problem: "This client may not log in"},
		Scope:               {OAuth: Wire{400, "invalid_scope"}, Problem: "The scope cannot be granted"},
		Target:              {OAuth: Wire{400, "invalid_target"}, Problem: "This API key may not request tokens for this resource", Remedy: "Request one that the key is allowed."},
		Unsigned:            {OAuth: Wire{403, "access_denied"}, Problem: "The signature of this report is missing or wrong, or its key is unknown"},
		UnsupportedGrant:    {OAuth: Wire{400, "unsupported_grant_type"}, Problem: "The grant_type must be client_credentials"},
		UnsupportedResponse: {OAuth: Wire{400, "unsupported_response_type"}, Problem: "This endpoint supports no response type", Remedy: "API keys log in at the token endpoint."},

		Denied:        {OAuth: Wire{400, "unauthorized_client"}, Manage: Wire{403, "policy"}, Problem: denied, PageRemedy: ask},
		DeniedForNow:  {OAuth: Wire{429, "temporarily_unavailable"}, Manage: Wire{429, "policy"}, Problem: denied, Remedy: "Wait, then try again."},
		DeniedExpired: {OAuth: Wire{401, "invalid_client"}, Manage: Wire{403, "policy"}, Problem: denied, PageRemedy: ask},
		DeniedDirect:  {OAuth: Wire{403, "access_denied"}, Problem: denied},

		InvalidToken:   {OAuth: Wire{401, "invalid_token"}, Problem: "The token is not valid"},
		Insufficient:   {OAuth: Wire{403, "insufficient_scope"}, Problem: "The token lacks a permission that this request needs"},
		OtherWorkspace: {OAuth: Wire{404, "not_found"}, Problem: "There is no such workspace, or this credential does not reach it"},

		Unauthorized: {OAuth: Wire{401, "unauthorized"}, Manage: Wire{401, "unauthorized"},
			Problem: "You are not signed in", Remedy: "Authenticate as WWW-Authenticate says.", PageRemedy: "Sign in and come back."},
		Malformed: {OAuth: Wire{400, "invalid_request"}, Manage: Wire{400, "malformed"},
			Problem: unread, Remedy: "Correct it before you send it again.", PageRemedy: again},
		Late: {OAuth: Wire{408, "invalid_request"}, Manage: Wire{400, "malformed"}, Problem: unread, Remedy: "Send the whole body in time.", PageRemedy: again},
		TooLarge: {OAuth: Wire{413, "invalid_request"}, Manage: Wire{413, "too-large"},
			Problem: "The body is too large", Remedy: "Send at most 64 KiB.", PageRemedy: "Nothing was done. Go back and choose fewer or shorter values."},
		MediaType: {Manage: Wire{415, "media-type"}, Problem: "The body is not uncompressed JSON in UTF-8", Remedy: "Send it in that form, with the Content-Type application/json."},
		Method:    {OAuth: Wire{405, "invalid_request"}, Manage: Wire{405, "method-not-allowed"}, Problem: "This path does not support this method", Remedy: "Use one that the Allow header names."},
		CrossOrigin: {OAuth: Wire{403, "access_denied"}, Manage: Wire{403, "cross-origin"}, Problem: "The browser does not confirm that a page of this service sent this request", Remedy: "Nothing was done. Use a page of this service.",
			PageRemedy: "Nothing was done. Open this service by its https address and send the form from there."},

		Invalid:              {Manage: Wire{422, "invalid"}, Problem: "Some values are not allowed", Remedy: "Correct the fields that errors names.", PageRemedy: "Go back and correct it."},
		Forbidden:            {Manage: Wire{403, "forbidden"}, Problem: "You may not do this", Remedy: "Ask an administrator if you need it."},
		NotFound:             {Manage: Wire{404, "not-found"}, Problem: "This does not exist, or you may not see it", Remedy: "Check the address and the ids in it."},
		NotKept:              {Manage: Wire{501, "not-kept"}, Problem: "This service does not keep such records", Remedy: "Ask its operators to use a store that does."},
		Conflict:             {Manage: Wire{409, "conflict"}, Problem: "This was changed by another request", Remedy: "Nothing was done. Send it again.", PageRemedy: "Nothing was done. Open the page again and decide again."},
		Changed:              {Manage: Wire{412, "changed"}, Problem: "This has changed since you read it", Remedy: "Nothing was done. Read it again and decide again."},
		PreconditionRequired: {Manage: Wire{428, "precondition-required"}, Problem: "If-Match is missing", Remedy: "Send it with the ETag of the settings that you read."},
		AlreadyDone:          {Manage: Wire{409, "already-done"}, Problem: "A request with this Idempotency-Key was carried out before", Remedy: "The secret that it created is not kept. If you lost it, rotate the key."},
		IdempotencyMismatch:  {Manage: Wire{422, "idempotency-mismatch"}, Problem: "This Idempotency-Key was used for another request", Remedy: "Use a new one for a new request."},

		StaleForm: {Manage: Wire{403, "forbidden"}, Problem: "This form is too old, or was made for another person", Remedy: again},
	}[k]
}
