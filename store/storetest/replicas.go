package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// replicaCount is how many handles the rules of RunReplicas use.
const replicaCount = 3

// RunReplicas runs, as subtests, the rules that hold between processes on one
// set of data: limits and one-time ids count once over all of them, and what
// one wrote the others read.
//
// open returns n stores on one set of data, as n processes would hold them:
// each with a connection pool of its own and nothing shared in memory. It is
// called once for each rule and once before, and registers its own clean-up;
// two calls share no data. Like Run, RunReplicas leaves out rules about a field
// that is nil, and those named in without.
//
// The rules ask that a change is read everywhere once the call that made it
// has returned. A store that promises less, such as a cache, is not for this
// suite.
func RunReplicas(t *testing.T, open func(t *testing.T, n int) []store.Store, without ...string) {
	probe := open(t, replicaCount)
	if len(probe) != replicaCount {
		t.Fatalf("storetest: open returned %d stores, not %d", len(probe), replicaCount)
	}
	if names := missing(probe[0]); len(names) > 0 {
		t.Fatalf("storetest: the store lacks %v", names)
	}
	lacks := lacking(t, without, replicaRuleNames())
	for _, r := range replicaRules() {
		if r.needs != nil && !r.needs(probe[0]) {
			t.Logf("the store lacks what %q is about: not tried", r.name)
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			if lacks(r.name) {
				t.Skip("the driver does not keep this rule yet")
			}
			r.try(t, open(t, replicaCount))
		})
	}
}

func replicaRuleNames() []string {
	var names []string
	for _, r := range replicaRules() {
		names = append(names, r.name)
	}
	return names
}

// replicaRule is a rule about several stores on one set of data.
type replicaRule struct {
	name  string
	why   string
	needs func(store.Store) bool // nil: nothing that may be lacking
	run   func(t tester, replicas []store.Store)
	soak  bool
}

func (r replicaRule) try(t tester, replicas []store.Store) {
	t.Helper()
	rule{why: r.why, run: func(t tester, _ store.Store) { r.run(t, replicas) }}.try(t, store.Store{})
}

// replicaRules lists the rules; those for a soak only if this is one.
func replicaRules() []replicaRule {
	all := slices.Concat(replicaRaces(), replicaSights(), replicaWatches())
	if !soak() {
		all = slices.DeleteFunc(all, func(r replicaRule) bool { return r.soak })
	}
	return all
}

func replicaRaces() []replicaRule {
	limits := "Of N concurrent creates under a limit L into an empty workspace exactly min(N, L) succeed, through whichever replicas."
	return []replicaRule{
		{name: "B05 creates under a limit, 200 at once", why: limits, run: func(t tester, r []store.Store) { raceLimit(t, r, 200, 1) }},
		{name: "B05 creates under a limit, 200 at once, 1,000 rounds", why: limits, soak: true, run: func(t tester, r []store.Store) { raceLimit(t, r, 200, 1000) }},
		{
			name: "B05 creates and deletes under a limit",
			why:  "Deletes through one replica and creates through another never let the workspace hold more than the limit.",
			run:  raceLimitDeletes,
		},
		{
			name: "one id, many creates",
			why:  "An id is unique over all replicas and workspaces.",
			run: func(t tester, r []store.Store) {
				for round := range 4 {
					errs := race(24, func(i int) error {
						k := newKey(fmt.Sprint("team-", i%4), fmt.Sprint("key-", round))
						return of(r, i).Keys.Create(background, k, store.NoLimit, store.Change{Now: noon})
					})
					equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrExists), 1)
				}
				for i := range r {
					equal(t, "keys", len(list(t, r[i], store.KeyQuery{})), 4)
				}
			},
		},
		{
			name: "one change, sent to every replica",
			why:  "A client that repeats its request at another replica makes one key.",
			run: func(t tester, r []store.Store) {
				for round := range 4 {
					errs := race(24, func(i int) error {
						c := store.Change{Once: onceID(fmt.Sprint("request-", round)), Now: noon}
						return of(r, i).Keys.Create(background, newKey("team-a", fmt.Sprintf("key-%d-%d", round, i)), store.NoLimit, c)
					})
					equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrExists), 1)
				}
				equal(t, "number of keys", workspace(t, r[0], "team-a").Keys, 4)
			},
		},
		{
			name: "B22 rotations with one version",
			why:  "Of rotations that race through several replicas one wins for each version. A look-up meanwhile sees the secrets of before or of after: never neither, never a mixture.",
			run:  raceRotations,
		},
		{
			name: "settings with one version",
			why:  "Of saves with one version one wins, for the instance and for a workspace, the first save too.",
			run: func(t tester, r []store.Store) {
				for version := range int64(4) {
					errs := race(24, func(i int) error {
						in := store.InstanceSettings{Instance: store.Instance{Version: version, Rules: store.Rules{MaxKeys: i}}}
						return of(r, i).Settings.SetInstance(background, in, store.Change{Now: noon})
					})
					equal(t, "SetInstance that succeeded", wins(t, "SetInstance", errs, store.ErrConflict), 1)
					errs = race(24, func(i int) error {
						w := store.Workspace{ID: "team-a", Version: version, Rules: store.Rules{MaxKeys: i}}
						return of(r, i).Settings.SetWorkspace(background, w, store.Change{Now: noon})
					})
					equal(t, "SetWorkspace that succeeded", wins(t, "SetWorkspace", errs, store.ErrConflict), 1)
				}
			},
		},
		{
			name:  "rings with one version",
			why:   "Of replicas that rotate the signing keys at once one wins, and all read its ring.",
			needs: hasSigningKeys,
			run: func(t tester, r []store.Store) {
				for version := range int64(4) {
					errs := race(24, func(i int) error {
						next := store.Ring{Version: version, Keys: []store.SigningKey{{ID: fmt.Sprint("kid-", i), Sealed: []byte("sealed")}}}
						return of(r, i).SigningKeys.SetRing(background, next)
					})
					equal(t, "saves that succeeded", wins(t, "SetRing", errs, store.ErrConflict), 1)
					for i, err := range errs {
						for _, s := range r {
							if got := ring(t, s); err == nil && len(got.Keys) == 1 {
								equal(t, "the key that is stored", got.Keys[0].ID, fmt.Sprint("kid-", i))
							}
						}
					}
				}
			},
		},
		{
			name:  "B18 one of many spends wins",
			why:   "An assertion replayed to all replicas at once logs in once.",
			needs: hasOnceIDs,
			run: func(t tester, r []store.Store) {
				rounds := 8
				if soak() {
					rounds = 1000
				}
				for round := range rounds {
					id := onceID(fmt.Sprint("jti-", round))
					errs := race(24, func(i int) error { return of(r, i).OnceIDs.Spend(background, *id, noon) })
					equal(t, "spends that succeeded", wins(t, "Spend", errs, store.ErrExists), 1)
					for _, s := range r {
						equal(t, "value", find(t, s, "test", id.ID, noon).Value, id.Value)
					}
				}
			},
		},
		{
			name:  "B18 one limit over all",
			why:   "Attempts at one instant cannot exceed the limit by going to several replicas.",
			needs: hasLimiter,
			run:   raceAttempts,
		},
		{
			name:  "each raise is higher",
			why:   "An epoch rises through whichever replica it is raised, and all read the same.",
			needs: hasEpochs,
			run: func(t tester, r []store.Store) {
				k := newKey("team-a", "key-1")
				create(t, r[0], k)
				last := keyEpoch(t, r[0], "key-1")
				for i := range 12 {
					k.Version = int64(i + 1)
					must(t, "Update", of(r, i).Keys.Update(background, k, store.Change{Now: noon, EndTokens: true}))
					epoch := keyEpoch(t, of(r, i), "key-1")
					raised(t, "the key's epoch", epoch, last)
					last = epoch
					for _, s := range r {
						wantState(t, s, tokenOf(k, "s2"), store.EpochState{SecretKnown: true})
						equal(t, "the key's epoch", keyEpoch(t, s, "key-1"), last)
					}
				}
			},
		},
		{
			name: "B27 nothing outruns a change",
			why:  "Once a key is disabled, or settings are saved, through one replica, no creation that rested on them as they were before comes in through another.",
			run:  raceOutrun,
		},
		{
			name:  "no count is lost",
			why:   "Replicas add to one day's usage at once; every count arrives.",
			needs: hasUsage,
			run: func(t tester, r []store.Store) {
				day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
				one := store.Count{Workspace: "team-a", Key: "key-1", Day: day, Logins: 1, Refusals: 2}
				errs := race(24, func(i int) error { return of(r, i).Usage.Add(background, []store.Count{one}) })
				for _, err := range errs {
					must(t, "Add", err)
				}
				all := one
				all.Logins, all.Refusals = 24, 48
				for _, s := range r {
					wantDays(t, s, "key-1", day, day.AddDate(0, 0, 1), all)
				}
			},
		},
		{
			name: "creates while the workspace is deleted",
			why:  "No key that another replica created meanwhile is left in a deleted workspace.",
			run: func(t tester, r []store.Store) {
				for round := range 4 {
					id := fmt.Sprint("team-", round)
					errs := race(24, func(i int) error {
						if i == 7 {
							return of(r, i).Settings.DeleteWorkspace(background, id, noon, store.Change{Now: noon})
						}
						return of(r, i).Keys.Create(background, newKey(id, fmt.Sprintf("key-%d-%d", round, i)), store.NoLimit, store.Change{Now: noon})
					})
					wins(t, "Create", errs, store.ErrNotFound)
					for _, s := range r {
						equalList(t, "keys left", list(t, s, store.KeyQuery{Workspace: id}), []string{})
						equal(t, "number of keys", workspace(t, s, id).Keys, 0)
					}
				}
			},
		},
	}
}

// of deals calls out to replicas in turn.
func of(replicas []store.Store, i int) store.Store { return replicas[i%len(replicas)] }
