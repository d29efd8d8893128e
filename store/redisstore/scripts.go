package redisstore

import (
	"embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// script is a Lua script and its text.
type script struct {
	*redis.Script
	text string
}

// scripts are the scripts in the directory of the same name.
type scripts struct {
	// These begin with change.lua.
	create, update, remove, settings, deleteWorkspace, sweep, recordUses, rehash, purge, write, prune, revoke, ring, entries *script
	// These do not.
	read, page, workspaces, advance, count, pruneDay *script
}

func loadScripts() *scripts {
	load := func(files ...string) *script {
		text := ""
		for _, file := range files {
			part, _ := scriptFiles.ReadFile("scripts/" + file + ".lua") //nolint:errcheck // it is embedded
			text += string(part)
		}
		return &script{redis.NewScript(text), text}
	}
	change := func(file string) *script { return load("change", file) }
	return &scripts{
		create: change("create"), update: change("update"), remove: change("delete"), settings: change("settings"),
		deleteWorkspace: change("deleteworkspace"), sweep: change("sweep"), recordUses: change("recorduses"), rehash: change("rehash"),
		purge: change("purge"), write: change("write"), prune: change("prune"), revoke: change("revoke"),
		ring: change("ring"), entries: change("entries"),
		read: load("read"), page: load("page"), workspaces: load("workspaces"), advance: load("advance"), count: load("count"), pruneDay: load("pruneday"),
	}
}
