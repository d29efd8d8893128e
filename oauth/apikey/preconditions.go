package apikey

import (
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// keyPreconditions are for a change that only takes something away, such as a
// deletion: the record of the acting key, from which its rights were read. A person
// has no such record.
func (p powers) keyPreconditions() []store.Precondition {
	if p.key == nil {
		return nil
	}
	return []store.Precondition{{Key: p.key.ID, Version: p.key.Version}}
}

// actorPreconditions are all records that the rights of the acting key were read
// from: its own record and the settings that apply to it.
func (p powers) actorPreconditions() []store.Precondition {
	if p.key == nil {
		return nil
	}
	return append(p.keyPreconditions(), settingsPreconditions(p.found.Workspace, p.found.Instance)...)
}

// policyPreconditions are for a change to a key of the workspace w that policies
// decided about: actorPreconditions, and the settings that policies decided with.
func (p powers) policyPreconditions(w store.Workspace, instance store.Instance) []store.Precondition {
	records := p.actorPreconditions()
	for _, record := range settingsPreconditions(w, instance) {
		if !slices.Contains(records, record) {
			records = append(records, record)
		}
	}
	return records
}

func settingsPreconditions(w store.Workspace, instance store.Instance) []store.Precondition {
	return []store.Precondition{{Workspace: w.ID, Version: w.Version}, {Version: instance.Version}}
}
