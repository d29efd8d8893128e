package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/store"
)

// withWorkspaces replaces the workspaces of each page of s by what change returns.
func withWorkspaces(change func(s store.Store, all []store.Workspace) []store.Workspace) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		next := s.Workspaces
		s.Workspaces = workspaces(func(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
			page, err := next.List(ctx, after, limit)
			page.Workspaces = change(s, page.Workspaces)
			return page, err
		})
		return s
	}
}

func workspaceBreakages() []breakage {
	without := func(drop func(w store.Workspace) bool) func(store.Store) store.Store {
		return withWorkspaces(func(_ store.Store, all []store.Workspace) []store.Workspace { return slices.DeleteFunc(all, drop) })
	}
	const record, pages = "WorkspaceList/workspaces with keys or a record", "WorkspaceList/pages of every size, in byte order"
	return []breakage{
		{"lists no workspace without keys", without(func(w store.Workspace) bool { return w.Keys == 0 }), []string{record}},
		{"lists no workspace without a record", without(func(w store.Workspace) bool { return w.Version == 0 }), []string{record, pages}},
		{"lists no deleted workspace", without(func(w store.Workspace) bool { return w.Deleted }), []string{record, "WorkspaceList/counts under races"}},
		{"counts only keys of saved workspaces", withWorkspaces(func(_ store.Store, all []store.Workspace) []store.Workspace {
			for i := range all {
				all[i].Keys = min(all[i].Keys, 1)
			}
			return all
		}), []string{record, "WorkspaceList/counts under races"}},
		{"sorts workspaces without regard to case", withWorkspaces(func(_ store.Store, all []store.Workspace) []store.Workspace {
			slices.SortFunc(all, func(a, b store.Workspace) int { return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
			return all
		}), []string{pages}},
		{"lists nothing as an error", func(s store.Store) store.Store {
			next := s.Workspaces
			s.Workspaces = workspaces(func(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
				page, err := next.List(ctx, after, limit)
				if len(page.Workspaces) == 0 {
					err = errors.Join(err, store.ErrNotFound)
				}
				return page, err
			})
			return s
		}, []string{"WorkspaceList/an empty store has none"}},
		{"takes a cursor as a count", func(s store.Store) store.Store {
			next, seen := s.Workspaces, 0
			s.Workspaces = workspaces(func(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
				if after == "" {
					seen = 0
				}
				all, err := next.List(ctx, "", store.MaxPage)
				page := store.WorkspacePage{Workspaces: all.Workspaces[min(seen, len(all.Workspaces)):]}
				if limit > 0 && len(page.Workspaces) > limit {
					page.Workspaces = page.Workspaces[:limit]
					page.Next = page.Workspaces[limit-1].ID
				}
				seen += len(page.Workspaces)
				return page, err
			})
			return s
		}, []string{"WorkspaceList/the cursor is a position"}},
	}
}
