package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ db *database }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (store.Instance, error) {
	r, _, err := s.read(ctx, instance)
	if err != nil {
		return store.Instance{}, fail("read settings", err)
	}
	return r.instance(), nil
}

func (s *settings) read(ctx context.Context, of space) (r settingsRecord, keys int64, err error) {
	if err := ctx.Err(); err != nil {
		return settingsRecord{}, 0, err
	}
	get := command("hmget", s.db.layout.settings(of), "version", "epoch", "body", "deleted")
	held := command("hlen", s.db.layout.keys(of))
	if err := s.db.run(ctx, get, held); err != nil {
		return settingsRecord{}, 0, err
	}
	r, err = decodeSettings(get.list())
	return r, held.int(), err
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	err := s.db.make(ctx, change{
		space: instance, script: s.db.scripts.settings, with: c,
		args:  []any{in.Version, flag(c.EndTokens), encodeInstance(&in)},
		tells: []store.Notice{{Kind: store.NoticeInstance}},
	})
	if err != nil {
		return fail("save settings", err)
	}
	return nil
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	r, keys, err := s.read(ctx, spaceOf(id))
	if err != nil {
		return store.Workspace{}, fail("read workspace settings", err)
	}
	return r.workspace(id, keys), nil
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	err := s.db.make(ctx, change{
		space: spaceOf(w.ID), script: s.db.scripts.settings, with: c,
		args:  []any{w.Version, flag(c.EndTokens), encodeSettings(w.Updated, w.Suspended, &w.Rules)},
		tells: []store.Notice{{Kind: store.NoticeWorkspace, Workspace: w.ID}},
	})
	if err != nil {
		return fail("save workspace settings", err)
	}
	return nil
}

// DeleteWorkspace implements store.Settings. It holds up the workspace's server
// for about 20 us a key.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	err := s.db.make(ctx, change{
		space: spaceOf(id), script: s.db.scripts.deleteSpace, with: c,
		args:  []any{at.UnixMicro(), encodeSettings(at, false, &store.Rules{})},
		tells: []store.Notice{{Kind: store.NoticeWorkspace, Workspace: id}},
	})
	if err != nil {
		return fail("delete workspace", err)
	}
	return nil
}
