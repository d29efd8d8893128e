# Functions and versions that the scripts of this folder share. They source this
# file from the repository's top level, under set -euo pipefail.

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/latchkey-ci

golangci_lint=v2.15.0
govulncheck=v1.9.0
apidiff=v0.0.0-20261113113407-e3970619a1a4
benchstat=v0.0.0-20260908200009-22c9c6c9d4da

# need_tool installs a command through the Go proxy at a pinned version, outside
# the repository, unless it is there. The variable tool then has its path.
need_tool() { # name version package
	tool=$cache/bin/$1-$2
	if [[ ! -x $tool ]]; then
		echo "installing $1 $2"
		local dir
		dir=$(mktemp -d)
		GOBIN=$dir go install "$3@$2"
		mkdir -p "$cache/bin"
		mv "$dir/$1" "$tool"
		rmdir "$dir"
	fi
}

# files lists files by name. It leaves out npm packages and test data.
files() { # pattern
	find . \( -name .git -o -name node_modules -o -name testdata \) -prune -o -type f -name "$1" -print | sort
}

# each_module runs a command in the folder of every module.
each_module() {
	local mod
	for mod in $(files go.mod); do
		(cd "$(dirname "$mod")" && "$@") || return
	done
}
