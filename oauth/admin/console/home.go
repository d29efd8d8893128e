package console

import "net/http"

// home shows the workspaces that a person can go to.
func (s *call) home() error {
	if own := s.person.Workspaces; len(own) == 1 && !s.administers() {
		return s.redirect("", "workspaces", own[0], "keys")
	}
	return s.show(http.StatusOK, "home", frame{Here: "home", Title: "API keys"})
}

// open leads to the workspace whose id was typed.
func (s *call) open() error {
	id := s.r.URL.Query().Get("workspace")
	if id == "" {
		wrong := []problem{{"workspace", "Type the id of a workspace."}}
		return s.show(http.StatusUnprocessableEntity, "home", frame{Here: "home", Title: "API keys", Problems: wrong})
	}
	return s.redirect("", "workspaces", id, "keys")
}
