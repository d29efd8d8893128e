package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// replicaCount is the number of replicas that RunReplicas uses.
const replicaCount = 3

// RunReplicas runs, as subtests, the rules that hold between processes that share data:
// limits and one-time ids count once over all of them, and each reads what the others
// wrote.
//
// open returns n stores that share data, like those of n processes: each has its own
// connection pool, and they share nothing in memory. open is called once before the rules
// and once for each rule, and registers its own clean-up. Two calls share no data. Like
// Run, RunReplicas skips the rules about a field that is nil, and those in without.
//
// The rules require that every replica reads a change once the call that made it has
// returned. A store that promises less, such as a cache, fails them.
func RunReplicas(t *testing.T, open func(t *testing.T, n int) []store.Store, without ...string) {
	probe := open(t, replicaCount)
	if len(probe) != replicaCount {
		t.Fatalf("storetest: open returned %d stores instead of %d", len(probe), replicaCount)
	}
	if names := missing(probe[0]); len(names) > 0 {
		t.Fatalf("storetest: %v of the store is nil; a driver must offer it", names)
	}
	excluded := exclude(t, without, replicaRuleNames())
	for _, r := range replicaRules() {
		if r.needs != nil && !r.needs(probe[0]) {
			t.Logf("the rule %q is skipped: a field of the store that it needs is nil", r.name)
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			if excluded(r.name) {
				t.Skip("the driver does not follow this rule yet")
			}
			r.check(t, open(t, replicaCount))
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

// replicaRule is a rule about several stores that share data.
type replicaRule struct {
	name  string
	why   string
	needs func(store.Store) bool // nil: required fields only
	run   func(t tester, replicas []store.Store)
	soak  bool
}

func (r replicaRule) check(t tester, replicas []store.Store) {
	t.Helper()
	rule{why: r.why, run: func(t tester, _ store.Store) { r.run(t, replicas) }}.check(t, store.Store{})
}

// replicaRules returns all rules. Those with soak set are included only in a soak.
func replicaRules() []replicaRule {
	all := slices.Concat(replicaRaces(), replicaVisibility(), replicaWatches())
	if !soak() {
		all = slices.DeleteFunc(all, func(r replicaRule) bool { return r.soak })
	}
	return all
}

func replicaRaces() []replicaRule {
	limits := "Of N concurrent creates under a limit L into an empty workspace exactly min(N, L) succeed, whatever replicas they use."
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
			name:  "one secret, many creates and updates",
			why:   "Of N concurrent calls of Create and Update that give one secret id to different keys, exactly one succeeds, whatever replicas they use.",
			needs: hasSecrets,
			run:   raceSecret,
		},
		{
			name:  "a deletion does not take the secret from the next key",
			why:   "A key that got a secret's id while another replica deleted or rotated the key that had it is found by it.",
			needs: hasSecrets,
			run:   raceFreedSecret,
		},
		{
			name: "one change, sent to every replica",
			why:  "A client that repeats its request at another replica creates one key.",
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
			why:  "Of concurrent rotations through several replicas one succeeds for each version. A look-up meanwhile returns the secrets from before or from after, never a mixture.",
			run:  raceRotations,
		},
		{
			name: "settings with one version",
			why:  "Of concurrent saves with one version one succeeds, for the instance and for a workspace, also for the first save.",
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
			why:   "Of replicas that rotate the signing keys at once one succeeds, and all read its ring.",
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
			why:   "An epoch rises whichever replica raises it, and all replicas read the same epoch.",
			needs: hasEpochs,
			run: func(t tester, r []store.Store) {
				k := newKey("team-a", "key-1")
				create(t, r[0], k)
				last := keyEpoch(t, r[0], "key-1")
				for i := range 12 {
					k.Version = int64(i + 1)
					must(t, "Update", of(r, i).Keys.Update(background, k, store.Change{Now: noon, RevokeTokens: true}))
					epoch := keyEpoch(t, of(r, i), "key-1")
					wantHigher(t, "the key's epoch", epoch, last)
					last = epoch
					for _, s := range r {
						wantState(t, s, tokenOf(k, 2), store.EpochState{CredentialKnown: true})
						equal(t, "the key's epoch", keyEpoch(t, s, "key-1"), last)
					}
				}
			},
		},
		{
			name: "B27 no creation succeeds on outdated preconditions",
			why:  "Once one replica has disabled a key or saved settings, no creation through another succeeds that is based on the old record.",
			run:  racePreconditions,
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
			why:  "No key that another replica created at the same time is left in a deleted workspace.",
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

// of returns replica i, modulo their number.
func of(replicas []store.Store, i int) store.Store { return replicas[i%len(replicas)] }
