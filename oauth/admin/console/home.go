package console

import "net/http"

// home shows the workspaces that a person can go to, and leads to the one whose id was
// typed.
func (s *call) home() error {
	if id := s.r.URL.Query().Get("workspace"); id != "" {
		return s.redirect("", "workspaces", id, "keys")
	}
	if own := s.person.Workspaces; len(own) == 1 && !s.administers() {
		return s.redirect("", "workspaces", own[0], "keys")
	}
	return s.show(http.StatusOK, "home", frame{Here: "home", Title: "API keys"})
}
