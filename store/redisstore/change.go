package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// change is one change of one space, and what goes with it.
type change struct {
	space  space
	script *script
	args   []any
	with   store.Change
	tells  []store.Notice
	// id and owner are of a key to be created: its pointer is reserved, and
	// the script is told first whether it is taken.
	id, owner string
}

// make carries a change out. See the package's documentation for the steps and
// for what becomes of them when the writer dies.
func (db *database) make(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for range retries {
		again, err := db.try(ctx, &c)
		if !again {
			return err
		}
	}
	return fmt.Errorf("the change was stopped by another with its one-time id: %w", store.ErrUnavailable)
}

// retries is how often a change that another has stopped begins anew.
const retries = 3

// finishFor is how long the steps after a change may take once its caller has
// gone.
const finishFor = 500 * time.Millisecond

func (db *database) try(ctx context.Context, c *change) (again bool, err error) {
	request := newRequest()
	if c.with.Once != nil {
		value := onceValue(reserved, request, c.space, c.with.Once)
		if err := db.spend(ctx, c.with.Once, c.with.Now, value); err != nil {
			return false, err
		}
	}
	told, taken, err := db.prepare(ctx, c, request)
	if err != nil {
		// Past its deadline a call does not try to tidy up: what it began
		// expires, or is settled by who finds it.
		if ctx.Err() == nil {
			db.giveUp(ctx, c, request, told)
		}
		return false, err
	}
	return db.commit(ctx, c, request, taken, told)
}

// prepare takes the steps before the change. taken says that the key's id is.
func (db *database) prepare(ctx context.Context, c *change, request string) (told []any, taken bool, err error) {
	intend, told := db.intending(request, c.tells)
	calls := append(db.register(c.space), intend)
	homes, elsewhere := db.homes(c.space, c.with.Events)
	calls = append(append(calls, homes...), elsewhere...)
	var first *call
	if c.id != "" {
		first = db.reserving(c.id, request, c.owner, "")
		calls = append(calls, first)
	}
	versions, err := db.versions(ctx, c.with.If)
	if err != nil {
		return told, false, err
	}
	if err := db.run(ctx, append(calls, versions...)...); err != nil {
		return told, false, err
	}
	if err := held(c.with.If, versions); err != nil {
		return told, false, err
	}
	if c.with.Events, err = db.notElsewhere(ctx, c.space, c.with.Events, homes); err != nil {
		return told, false, err
	}
	if c.id != "" {
		taken, err = db.reserve(ctx, first, c.id, request, c.owner)
	}
	return told, taken, err
}

// versions reads the records that a change rests on. They may lie in other slots
// than the change, so that one which moves between the two goes unnoticed.
func (db *database) versions(ctx context.Context, conditions []store.Precondition) ([]*call, error) {
	calls := make([]*call, len(conditions))
	for i, p := range conditions {
		switch {
		case p.Key != "":
			workspace, _, err := db.place(ctx, p.Key, true)
			if errors.Is(err, store.ErrNotFound) {
				return nil, store.ErrConflict
			}
			if err != nil {
				return nil, err
			}
			calls[i] = command("hget", db.layout.keys(spaceOf(workspace)), p.Key)
		case p.Workspace != "":
			calls[i] = command("hget", db.layout.settings(spaceOf(p.Workspace)), "version")
		default:
			calls[i] = command("hget", db.layout.settings(instance), "version")
		}
	}
	return calls, nil
}

func held(conditions []store.Precondition, versions []*call) error {
	for i, p := range conditions {
		w := words{text: versions[i].text()}
		switch {
		case p.Key != "" && versions[i].missing():
			return store.ErrConflict
		case p.Key != "":
			w.next() // the request
		case versions[i].missing():
			w.text = "0"
		}
		version := w.number()
		if w.failed {
			return errRecord
		}
		if version != p.Version {
			return store.ErrConflict
		}
	}
	return nil
}

// commit makes the change and takes the steps after it.
func (db *database) commit(ctx context.Context, c *change, request string, taken bool, told []any) (again bool, err error) {
	args := c.args
	if c.id != "" {
		args = append([]any{c.id, flag(taken)}, args...)
	}
	script := evaluate(c.script, db.layout.all(c.space, request), db.begin(request, c.with, c.with.Events)...)
	script.args = append(script.args, args...)
	unsure := db.runDurably(ctx, script)
	if unsure != nil && script.text() == "" {
		// Whether it was made nobody knows: the notes that it may have been
		// stay, and a watcher tells of it.
		return false, unsure
	}
	switch status := script.text(); status {
	case "ok":
		if err := db.finish(ctx, c, request, told); err != nil {
			return false, err
		}
		return false, unsure
	case "void":
		db.giveUp(ctx, c, request, told)
		return true, nil
	case "exists":
		c.id = "" // the pointer is that of the key that is there
		fallthrough
	default:
		db.giveUp(ctx, c, request, told)
		return false, statusError(status)
	}
}

// begin makes the first arguments of a script of a space.
func (db *database) begin(request string, with store.Change, events []store.Event) []any {
	var keep any = ""
	if with.Once != nil {
		keep = keepUntil(with.Once.Expires, with.Now)
	}
	args := []any{request, keep, len(events)}
	for i := range events {
		e := &events[i]
		args = append(args, e.ID, sortable(e.Time)+e.ID, encodeEvent(e))
	}
	return args
}

// finish takes the steps after a change was made.
func (db *database) finish(ctx context.Context, c *change, request string, told []any) (unsure error) {
	if c.id != "" {
		lasting := false
		unsure = toTheEnd(ctx, func(ctx context.Context) (err error) {
			lasting, err = db.confirm(ctx, c, request)
			return err
		})
		if errors.Is(unsure, store.ErrExists) {
			db.giveUp(ctx, c, request, told)
		}
		if !lasting {
			return unsure
		}
		db.known.put(c.id, c.owner)
	}
	// The change is made and can be found. What fails from here on others make
	// good: a watcher tells, and the receipt speaks for the one-time id.
	calls := []*call{db.telling(request, told)}
	if c.with.Once != nil {
		calls = append(calls, db.swap(db.layout.once(c.with.Once.Space, c.with.Once.ID),
			onceValue(reserved, request, c.space, c.with.Once), onceValue(spent, request, c.space, c.with.Once)))
	}
	db.orLeave(ctx, "steps after a change are left to others", func(ctx context.Context) error {
		if err := db.run(ctx, calls...); err != nil || c.with.Once == nil {
			return err
		}
		return db.run(ctx, command("del", db.layout.receipt(c.space, request)))
	})
	return unsure
}

// confirm makes the pointer to a new key lasting, which may be so and not be
// confirmed by a replica. ErrExists: the reservation ran out, another workspace
// has the id now, and the key is no more.
func (db *database) confirm(ctx context.Context, c *change, request string) (lasts bool, unsure error) {
	confirm := evaluate(db.scripts.confirm, []string{db.layout.pointer(c.id)}, pointerValue(lasting, request, c.owner))
	unsure = db.runDurably(ctx, confirm)
	if confirm.text() != "lost" {
		return confirm.text() == "ok", unsure
	}
	undo := evaluate(db.scripts.undo, db.layout.all(c.space, request), request, "", 0, c.id)
	if err := db.runDurably(ctx, undo); err != nil {
		return false, err
	}
	return false, store.ErrExists
}

// giveUp takes the steps before a change back. What it does not reach expires,
// or is settled by who finds it.
func (db *database) giveUp(ctx context.Context, c *change, request string, told []any) {
	var calls []*call
	if len(told) > 0 {
		calls = append(calls, evaluate(db.scripts.drop, db.layout.open(), told...))
	}
	if c.id != "" {
		calls = append(calls, db.swap(db.layout.pointer(c.id), pointerValue(pending, request, c.owner), ""))
	}
	if c.with.Once != nil {
		calls = append(calls, db.swap(db.layout.once(c.with.Once.Space, c.with.Once.ID),
			onceValue(reserved, request, c.space, c.with.Once), ""))
	}
	db.orLeave(ctx, "steps before a change are left to expire", func(ctx context.Context) error { return db.run(ctx, calls...) })
}

// toTheEnd takes steps that may be taken twice, and takes them anew, in a
// little time of their own, if the caller's ended on the way.
func toTheEnd(ctx context.Context, steps func(ctx context.Context) error) error {
	err := steps(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishFor)
	defer cancel()
	return steps(ctx)
}

// orLeave is toTheEnd for steps that others make good.
func (db *database) orLeave(ctx context.Context, otherwise string, steps func(ctx context.Context) error) {
	if err := toTheEnd(ctx, steps); err != nil {
		db.log.WarnContext(ctx, "redisstore: "+otherwise, "error", err)
	}
}

// swap replaces a value if it is still the given one.
func (db *database) swap(key, from, to string) *call {
	return evaluate(db.scripts.swap, []string{key}, from, to)
}

// register adds a space to those that lists over all workspaces visit.
func (db *database) register(s space) []*call {
	if s == instance {
		return nil
	}
	return []*call{command("sadd", db.layout.registry(partOf(string(s))), string(s))}
}

// intending writes down what is about to be told, as told.
func (db *database) intending(request string, tells []store.Notice) (c *call, told []any) {
	for i := range tells {
		told = append(told, noticeText(&tells[i], request))
	}
	return evaluate(db.scripts.intend, db.layout.open(), told...), told
}

// telling publishes what intend wrote down.
func (db *database) telling(request string, told []any) *call {
	c := evaluate(db.scripts.tell, append(db.layout.open(), db.layout.stream()), db.layout.channel(), request)
	c.args = append(c.args, told...)
	return c
}

// simple is a change with no events and no one-time id, of any slot: told
// before and after.
func (db *database) simple(ctx context.Context, do *call, tells ...store.Notice) error {
	request := newRequest()
	intend, told := db.intending(request, tells)
	if err := db.run(ctx, intend); err != nil {
		return err
	}
	unsure := db.runDurably(ctx, do)
	if unsure != nil && do.text() == "" {
		return unsure
	}
	last := db.telling(request, told)
	err := statusError(do.text())
	if err != nil {
		last = evaluate(db.scripts.drop, db.layout.open(), told...)
	}
	db.orLeave(ctx, "steps after a change are left to others", func(ctx context.Context) error { return db.run(ctx, last) })
	if err != nil {
		return err
	}
	return unsure
}
