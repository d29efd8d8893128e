package redisstore

import (
	"crypto/sha1" //nolint:gosec // the name that Redis gives a script, no protection
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// script is one Lua script and the name that Redis gives it.
type script struct {
	text string
	hash string
}

// scripts are those of the directory of the same name.
type scripts struct {
	// These begin with change.lua.
	create, update, remove, settings, deleteWorkspace, sweep, touch, rehash, purge, write, prune, revoke, ring, entries *script
	// These do not.
	read, page, advance, count, pruneDay *script
}

func loadScripts() (*scripts, error) {
	var problems []error
	load := func(begin, name string) *script {
		text, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			problems = append(problems, err)
		}
		s := script{text: begin + string(text)}
		sum := sha1.Sum([]byte(s.text)) //nolint:gosec // as above
		s.hash = hex.EncodeToString(sum[:])
		return &s
	}
	begin := load("", "change").text
	changing := func(name string) *script { return load(begin, name) }
	other := func(name string) *script { return load("", name) }
	all := &scripts{
		create: changing("create"), update: changing("update"), remove: changing("delete"), settings: changing("settings"),
		deleteWorkspace: changing("deleteworkspace"), sweep: changing("sweep"), touch: changing("touch"), rehash: changing("rehash"),
		purge: changing("purge"), write: changing("write"), prune: changing("prune"), revoke: changing("revoke"),
		ring: changing("ring"), entries: changing("entries"),
		read: other("read"), page: other("page"), advance: other("advance"), count: other("count"), pruneDay: other("pruneday"),
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return all, nil
}
