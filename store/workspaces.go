package store

import "context"

// WorkspacePage is one page of workspaces.
type WorkspacePage struct {
	Workspaces []Workspace
	// Next is the id after which the next page begins. It is empty on the last
	// page.
	Next string
}

// Workspaces lists the workspaces of which a store has keys or a saved record
// (Version > 0). Deleted workspaces have a record.
type Workspaces interface {
	// List returns one page in byte order of the ids. It begins after the id that the
	// argument after holds, or with the first id if after is empty. limit is 1 to
	// MaxPage; 0 means 100.
	// A workspace that exists while a caller follows Next is on exactly one of the
	// pages. The work for a page is bounded by limit, so a page may hold
	// fewer workspaces although Next is set.
	List(ctx context.Context, after string, limit int) (WorkspacePage, error)
}

// PageOfWorkspaces assembles one page. It calls read for the records of the first
// workspaces after the cursor, at most the given number of them. It leaves out
// workspaces without keys whose record was never saved. It is for drivers.
func PageOfWorkspaces(limit int, read func(most int) ([]Workspace, error)) (WorkspacePage, error) {
	var page WorkspacePage
	records, more, err := readPage(limit, read)
	if more {
		page.Next = records[len(records)-1].ID
	}
	for _, w := range records {
		if w.Keys > 0 || w.Version > 0 {
			page.Workspaces = append(page.Workspaces, w)
		}
	}
	return page, err
}
