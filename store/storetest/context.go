package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// calls are all methods that take a context. They use the records of tryEnded, and would
// succeed with a context that has not ended.
var calls = []struct {
	name string
	has  func(s store.Store) bool // nil: always
	do   func(ctx context.Context, s store.Store) error
}{
	{"Keys.Create", nil, func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, newKey("team-a", "new"), store.NoLimit, change("ended"))
	}},
	{"Keys.Lookup", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Keys.Lookup(ctx, "key-1")
		return err
	}},
	{"Secrets.LookupSecret", hasSecrets, func(ctx context.Context, s store.Store) error {
		_, err := s.Secrets.LookupSecret(ctx, "s1-key-1")
		return err
	}},
	{"Keys.Update", nil, func(ctx context.Context, s store.Store) error {
		k := newKey("team-a", "key-1")
		k.Name = "changed"
		return s.Keys.Update(ctx, k, change("ended"))
	}},
	{"Keys.Delete", nil, func(ctx context.Context, s store.Store) error {
		return s.Keys.Delete(ctx, "team-a", "key-1", 0, noon, change("ended"))
	}},
	{"Keys.List", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Keys.List(ctx, store.KeyQuery{})
		return err
	}},
	{"Workspaces.List", hasWorkspaces, func(ctx context.Context, s store.Store) error {
		_, err := s.Workspaces.List(ctx, "", 0)
		return err
	}},
	{"Upkeep.RecordUses", nil, func(ctx context.Context, s store.Store) error {
		return s.Upkeep.RecordUses(ctx, []store.Use{{Key: "key-1", Credential: "s1-key-1", At: noon}})
	}},
	{"Upkeep.Rehash", nil, func(ctx context.Context, s store.Store) error {
		return s.Upkeep.Rehash(ctx, "key-1", "s1-key-1", newKey("team-a", "key-1").Credentials[0].Digest, "better")
	}},
	{"Upkeep.Purge", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Upkeep.Purge(ctx, farAhead)
		return err
	}},
	{"Settings.Instance", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Settings.Instance(ctx)
		return err
	}},
	{"Settings.SetInstance", nil, func(ctx context.Context, s store.Store) error {
		return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, change("ended"))
	}},
	{"Settings.Workspace", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Settings.Workspace(ctx, "team-a")
		return err
	}},
	{"Settings.SetWorkspace", nil, func(ctx context.Context, s store.Store) error {
		return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a", Suspended: true}, change("ended"))
	}},
	{"Settings.DeleteWorkspace", nil, func(ctx context.Context, s store.Store) error {
		return s.Settings.DeleteWorkspace(ctx, "team-a", noon, change("ended"))
	}},
	{"Events.Append", nil, func(ctx context.Context, s store.Store) error { return s.Events.Append(ctx, newEvent("ended")) }},
	{"Events.List", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Events.List(ctx, store.EventQuery{})
		return err
	}},
	{"Events.Prune", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Events.Prune(ctx, farAhead)
		return err
	}},
	{"SigningKeys.Ring", hasSigningKeys, func(ctx context.Context, s store.Store) error {
		_, err := s.SigningKeys.Ring(ctx)
		return err
	}},
	{"SigningKeys.SetRing", hasSigningKeys, func(ctx context.Context, s store.Store) error { return s.SigningKeys.SetRing(ctx, someRing()) }},
	{"Epochs.Read", hasEpochs, func(ctx context.Context, s store.Store) error {
		_, err := s.Epochs.Read(ctx, tokenOf(newKey("team-a", "key-1"), 1))
		return err
	}},
	{"Epochs.Revoke", hasEpochs, func(ctx context.Context, s store.Store) error { return s.Epochs.Revoke(ctx, "token-1", farAhead, noon) }},
	{"HostLists.Entries", hasLists, func(ctx context.Context, s store.Store) error {
		_, err := s.HostLists.Entries(ctx)
		return err
	}},
	{"HostLists.Record", hasLists, func(ctx context.Context, s store.Store) error {
		return s.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: "1"})
	}},
	{"HostLists.Forget", hasLists, func(ctx context.Context, s store.Store) error {
		return s.HostLists.Forget(ctx, store.Peppers, "prepared")
	}},
	{"Upkeep.Clock", nil, func(ctx context.Context, s store.Store) error {
		_, err := s.Upkeep.Clock(ctx)
		return err
	}},
	{"OnceIDs.Spend", hasOnceIDs, func(ctx context.Context, s store.Store) error {
		return s.OnceIDs.Spend(ctx, *onceID("ended"), noon)
	}},
	{"OnceIDs.Find", hasOnceIDs, func(ctx context.Context, s store.Store) error {
		_, err := s.OnceIDs.Find(ctx, "test", "prepared", noon)
		return err
	}},
	{"Usage.Add", hasUsage, func(ctx context.Context, s store.Store) error {
		return s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "key-1", Day: noon, Logins: 1}})
	}},
	{"Usage.ByDay", hasUsage, func(ctx context.Context, s store.Store) error {
		_, err := s.Usage.ByDay(ctx, "team-a", "key-1", noon, farAhead)
		return err
	}},
	{"Usage.Prune", hasUsage, func(ctx context.Context, s store.Store) error {
		_, err := s.Usage.Prune(ctx, farAhead)
		return err
	}},
	{"Limiter.Advance", hasLimiter, func(ctx context.Context, s store.Store) error {
		_, _, err := s.Limiter.Advance(ctx, "id", noon, time.Second, time.Minute)
		return err
	}},
}

func hasSecrets(s store.Store) bool     { return s.Secrets != nil }
func hasWorkspaces(s store.Store) bool  { return s.Workspaces != nil }
func hasLists(s store.Store) bool       { return s.HostLists != nil }
func hasSigningKeys(s store.Store) bool { return s.SigningKeys != nil }
func hasEpochs(s store.Store) bool      { return s.Epochs != nil }
func hasOnceIDs(s store.Store) bool     { return s.OnceIDs != nil }
func hasUsage(s store.Store) bool       { return s.Usage != nil }
func hasLimiter(s store.Store) bool     { return s.Limiter != nil }

func contextRules() []rule {
	var rules []rule
	for _, call := range calls {
		rules = append(rules, rule{
			name: call.name,
			why:  "If the context has ended, a call returns its error and writes nothing.",
			run: func(t tester, s store.Store) {
				if call.has == nil || call.has(s) {
					tryEnded(t, s, call.do)
				}
			},
		})
	}
	return rules
}

func tryEnded(t tester, s store.Store, do func(ctx context.Context, s store.Store) error) {
	prepare(t, s)
	must(t, "Append", s.Events.Append(background, newEvent("prepared")))
	if s.HostLists != nil {
		must(t, "Record", s.HostLists.Record(background, store.ListEntry{List: store.Peppers, Name: "prepared"}))
	}
	if s.OnceIDs != nil {
		must(t, "Spend", s.OnceIDs.Spend(background, *onceID("prepared"), noon))
	}
	if s.Usage != nil {
		must(t, "Add", s.Usage.Add(background, []store.Count{{Workspace: "team-a", Key: "key-1", Day: noon, Refusals: 1}}))
	}
	before := append(everything(t, s), theRest(t, s)...)
	canceled, cancel := context.WithCancel(background)
	cancel()
	if err := do(canceled, s); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled context: got error %v, want context.Canceled", err)
	}
	expired, cancel := context.WithDeadline(background, time.Unix(0, 0))
	defer cancel()
	if err := do(expired, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context past its deadline: got error %v, want context.DeadlineExceeded", err)
	}
	equalText(t, "afterwards", append(everything(t, s), theRest(t, s)...), before)
	purge(t, s, farAhead, 1)
	must(t, "a change with the one-time id",
		s.Keys.Create(background, newKey("team-b", "other"), store.NoLimit, change("ended")))
}

// theRest returns the records that everything leaves out, as text.
func theRest(t tester, s store.Store) []string {
	t.Helper()
	var text []string
	if s.SigningKeys != nil {
		text = append(text, ringText(ring(t, s))...)
	}
	if s.Epochs != nil {
		state, err := s.Epochs.Read(background, tokenOf(newKey("team-a", "key-1"), 2))
		must(t, "Read", err)
		text = append(text, epochText(state))
	}
	if s.HostLists != nil {
		entries, err := s.HostLists.Entries(background)
		must(t, "Entries", err)
		text = append(text, fmt.Sprint("Lists ", entries))
	}
	if s.Usage != nil {
		days, err := s.Usage.ByDay(background, "team-a", "key-1", noon.AddDate(-1, 0, 0), farAhead)
		must(t, "ByDay", err)
		text = append(text, countText(days)...)
	}
	if s.Limiter != nil {
		ahead, _, err := s.Limiter.Advance(background, "id", noon, 0, time.Minute)
		must(t, "Advance", err)
		text = append(text, fmt.Sprint("an arrival ahead ", ahead > 0))
	}
	return text
}
