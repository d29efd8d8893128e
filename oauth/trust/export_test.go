package trust

import "net/http"

var (
	IsPublic  = isPublic
	IsPrivate = isPrivate
)

// TransportOf returns the transport that fetches the keys of an entry.
func TransportOf(i Issuer) *http.Transport {
	return (&entry{Issuer: i}).client(false).Transport.(*http.Transport) //nolint:forcetypeassert // see client
}
