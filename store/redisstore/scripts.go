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

// scripts are those of the directory of the same name. The ones that change a
// space begin with space.lua.
type scripts struct {
	// Of a space.
	create, update, remove, undo, settings, deleteSpace, touch, rehash, purge, append, prune *script
	// Of their own.
	read, page, reserve, confirm, swap, once, fence, home, revoke, ring, advance, count, pruneDay, intend, drop, tell, beat, clock *script
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
	begin := load("", "space").text
	of := func(name string) *script { return load(begin, name) }
	own := func(name string) *script { return load("", name) }
	all := &scripts{
		create: of("create"), update: of("update"), remove: of("delete"), undo: of("undo"), settings: of("settings"),
		deleteSpace: of("deletespace"), touch: of("touch"), rehash: of("rehash"), purge: of("purge"), append: of("append"), prune: of("prune"),
		read: own("read"), page: own("page"), reserve: own("reserve"), confirm: own("confirm"), swap: own("swap"),
		once: own("once"), fence: own("fence"), home: own("home"), revoke: own("revoke"), ring: own("ring"),
		advance: own("advance"), count: own("count"), pruneDay: own("pruneday"),
		intend: own("intend"), drop: own("drop"), tell: own("tell"), beat: own("beat"), clock: own("clock"),
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return all, nil
}
