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
	UnsupportedGrant
	UnsupportedResponse
	// Of policies.
	Denied
	DeniedForNow
	DeniedExpired
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
	// Wrong says what is wrong, in one sentence without its period.
	Wrong string
	// Do says what to do about it. OnPage says it for a person with a browser;
	// empty: the same.
	Do, OnPage string
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
			Wrong: "The service failed", Do: "Try again. If it fails again, ask the operators of this service, whose log says why."},
		Unavailable: {OAuth: Wire{503, "temporarily_unavailable"}, Manage: Wire{503, "unavailable"}, RetryAfter: time.Second,
			Wrong: "The service is unavailable at the moment", Do: "Try again shortly.",
			OnPage: "Try again shortly. If you sent a form, check first whether the change was made."},

		Credentials:         {OAuth: Wire{401, "invalid_client"}, Wrong: "The client id or the secret is wrong"},
		Throttled:           {OAuth: Wire{429, "temporarily_unavailable"}, Wrong: "Too many failed logins", Do: "Wait, then try again with the right secret."},
		Refused:             {OAuth: Wire{401, "invalid_client"}, Wrong: "This client may not log in"},
		Scope:               {OAuth: Wire{400, "invalid_scope"}, Wrong: "The scope cannot be granted"},
		Target:              {OAuth: Wire{400, "invalid_target"}, Wrong: "This API key may not request tokens for this resource", Do: "Request one that the key is allowed."},
		UnsupportedGrant:    {OAuth: Wire{400, "unsupported_grant_type"}, Wrong: "The grant_type must be client_credentials"},
		UnsupportedResponse: {OAuth: Wire{400, "unsupported_response_type"}, Wrong: "This endpoint supports no response type", Do: "API keys log in at the token endpoint."},

		Denied:        {OAuth: Wire{400, "unauthorized_client"}, Manage: Wire{403, "policy"}, Wrong: denied, OnPage: ask},
		DeniedForNow:  {OAuth: Wire{429, "temporarily_unavailable"}, Manage: Wire{429, "policy"}, Wrong: denied, Do: "Wait, then try again."},
		DeniedExpired: {OAuth: Wire{401, "invalid_client"}, Manage: Wire{403, "policy"}, Wrong: denied, OnPage: ask},

		InvalidToken:   {OAuth: Wire{401, "invalid_token"}, Wrong: "The token is not valid"},
		Insufficient:   {OAuth: Wire{403, "insufficient_scope"}, Wrong: "The token lacks a permission that this request needs"},
		OtherWorkspace: {OAuth: Wire{404, "not_found"}, Wrong: "There is no such workspace, or the token does not reach it"},

		Unauthorized: {OAuth: Wire{401, "unauthorized"}, Manage: Wire{401, "unauthorized"},
			Wrong: "You are not signed in", Do: "Authenticate as WWW-Authenticate says.", OnPage: "Sign in and come back."},
		Malformed: {OAuth: Wire{400, "invalid_request"}, Manage: Wire{400, "malformed"},
			Wrong: unread, Do: "Correct it before you send it again.", OnPage: again},
		Late: {OAuth: Wire{408, "invalid_request"}, Manage: Wire{400, "malformed"}, Wrong: unread, Do: "Send the whole body in time.", OnPage: again},
		TooLarge: {OAuth: Wire{413, "invalid_request"}, Manage: Wire{413, "too-large"},
			Wrong: "The body is too large", Do: "Send at most 64 KiB.", OnPage: "Nothing was done. Go back and choose fewer or shorter values."},
		MediaType:   {Manage: Wire{415, "media-type"}, Wrong: "The body is not JSON", Do: "The Content-Type must be application/json, in UTF-8."},
		Method:      {OAuth: Wire{405, "invalid_request"}, Manage: Wire{405, "method-not-allowed"}, Wrong: "This path does not support this method", Do: "Use one that the Allow header names."},
		CrossOrigin: {Manage: Wire{403, "cross-origin"}, Wrong: "A page of another origin sent this request", Do: "Nothing was done. Use a page of this service."},

		Invalid:              {Manage: Wire{422, "invalid"}, Wrong: "Some values are not allowed", Do: "Correct the fields that errors names.", OnPage: "Go back and correct it."},
		Forbidden:            {Manage: Wire{403, "forbidden"}, Wrong: "You may not do this", Do: "Ask an administrator if you need it."},
		NotFound:             {Manage: Wire{404, "not-found"}, Wrong: "This does not exist, or you may not see it", Do: "Check the address and the ids in it."},
		NotKept:              {Manage: Wire{501, "not-kept"}, Wrong: "This service does not keep such records", Do: "Ask its operators to use a store that does."},
		Conflict:             {Manage: Wire{409, "conflict"}, Wrong: "Someone else changed this at the same time", Do: "Nothing was done. Send it again.", OnPage: "Nothing was done. Open the page again and decide again."},
		Changed:              {Manage: Wire{412, "changed"}, Wrong: "This has changed since you read it", Do: "Nothing was done. Read it again and decide again."},
		PreconditionRequired: {Manage: Wire{428, "precondition-required"}, Wrong: "If-Match is missing", Do: "Send it with the ETag of the settings that you read."},
		AlreadyDone:          {Manage: Wire{409, "already-done"}, Wrong: "This was done before", Do: "Its secret is not kept; rotate the key to get a new one."},
		IdempotencyMismatch:  {Manage: Wire{422, "idempotency-mismatch"}, Wrong: "This Idempotency-Key was used for another request", Do: "Use a new one for a new request."},

		StaleForm: {Manage: Wire{403, "forbidden"}, Wrong: "This form is too old, or was made for another person", Do: again},
	}[k]
}
