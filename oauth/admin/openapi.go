package admin

import (
	_ "embed" // the document
	"strconv"
)

//go:embed openapi.json
var document []byte

// openAPI serves GET /openapi.json. It tells nothing that this source does not.
func (h *Handler) openAPI(c *call) error {
	header := c.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(document)))
	_, _ = c.w.Write(document) //nolint:errcheck // the client is gone; nobody to tell
	return nil
}
