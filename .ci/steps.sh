# The steps of run, in the order in which README.md lists them. Each is a
# function that fails if its check fails; it runs in a subshell at the
# repository's top level, under set -euo pipefail.

fuzztime=10s
max_lines=400
max_test_lines=500

step_format() {
	gofmt -l . >"$tmp/unformatted"
	if [[ -s $tmp/unformatted ]]; then
		echo "not gofmt-ed:"
		cat "$tmp/unformatted"
		return 1
	fi
}

step_modules() {
	each_module go mod tidy -diff
	each_module go mod verify
}

# step_files checks lengths, links between documents, and that README.md in this
# folder has the steps of run and no others.
step_files() {
	local file lines limit link step bad=0
	while IFS= read -r file; do
		lines=$(wc -l <"$file")
		limit=$max_lines
		if [[ $file == *_test.go ]]; then limit=$max_test_lines; fi
		if ((lines > limit)); then
			echo "$file: $((lines)) lines, the limit is $limit"
			bad=1
		fi
	done < <(files '*.go')
	for file in README.md LICENSE CHANGELOG.md CONTRIBUTING.md SECURITY.md; do
		if [[ ! -s $file ]]; then
			echo "$file: missing"
			bad=1
		fi
	done
	while IFS= read -r file; do
		while IFS= read -r link; do
			link=${link%%#*}
			if [[ -n $link && ! -e $(dirname "$file")/$link ]]; then
				echo "$file: links to $link, which is not there"
				bad=1
			fi
		done < <(links "$file")
	done < <(files '*.md')
	for step in $known; do
		if ! grep -q "^| \`$step\` |" .ci/README.md; then
			echo ".ci/README.md: no row for the step $step"
			bad=1
		fi
	done
	for step in $(sed -nE 's/^\| `([a-z_]+)` \|.*/\1/p' .ci/README.md); do
		if [[ $known != *" $step "* ]]; then
			echo ".ci/README.md: a row for $step, which is no step"
			bad=1
		fi
	done
	return $bad
}

# links prints the local targets of a Markdown file's links outside its code,
# both of [text](target) and of [text]: target.
links() { # file
	sed -E '/^ *```/,/^ *```/d; s/`[^`]*`/code/g; s/^ *\[[^]]+\]: *<?([^ >]+).*/](\1)/' "$1" |
		grep -oE '\]\([^) ]+' | sed 's/^](//' |
		grep -vE '^(https?:|mailto:|#)' || true
}

step_vet() {
	each_module go vet -tags timing ./...
}

step_build() {
	each_module go build -o /dev/null ./... # leaves no program in its folder
	mkdir -p "$tmp/examples"
	go build -o "$tmp/examples/" ./examples/...
	ls "$tmp/examples"
}

# step_test runs the README's own command, with the race detector and in
# another order each time.
step_test() {
	local command
	command=$(sed -nE 's/^ *(\$ )?(go test \.\/\.\.\.)[[:space:]]*(#.*)?$/\2/p' README.md | head -n 1)
	if [[ -z $command ]]; then
		echo "README.md has no line with the command: go test ./..."
		return 1
	fi
	command=${command/go test/go test -race -shuffle=on}
	echo "$command"
	$command
}

# step_openapi checks recorded answers of the management API.
step_openapi() {
	go test -C oauth/admin/openapitest -count=1 ./...
}

# step_fuzz gives every fuzz target of every package a short run.
step_fuzz() {
	local packages package list target targets=0 failed=0
	packages=$(go list ./...)
	for package in $packages; do
		# A package that cannot list its targets must not count as without any.
		list=$(go test -run '^$' -list '^Fuzz' "$package")
		for target in $(grep '^Fuzz' <<<"$list" || true); do
			targets=$((targets + 1))
			fuzz "$package" "$target" || failed=$((failed + 1))
		done
	done
	echo "$targets fuzz targets, $failed failed"
	((targets > 0 && failed == 0))
}

# fuzz runs one target. Go 1.26 may report the end of the fuzzing time as a
# failure (https://go.dev/issue/75804). Such a run names no failing input; it is
# repeated once.
fuzz() { # package target
	local attempt
	for attempt in 1 2; do
		echo "$1 $2"
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" "$1" >"$tmp/fuzz" 2>&1; then
			grep '^fuzz: elapsed' "$tmp/fuzz" | tail -n 1
			return 0
		fi
		cat "$tmp/fuzz"
		if grep -q 'Failing input' "$tmp/fuzz" || ! grep -qE '^ +context deadline exceeded$' "$tmp/fuzz"; then
			return 1
		fi
	done
	return 1
}

# step_servers finds the servers that drivers are tested on, and starts those that
# are missing. Later steps get their addresses; a test without its server fails
# there instead of being skipped. Galera and PgBouncer, which tests start
# themselves, have to be installed.
step_servers() {
	local missing
	go build -C store/servertest -o "$tmp/serve" ./servers/serve
	serve
	missing=$(sed -n 's/^missing //p' "$tmp/serve.out")
	if [[ -n $missing ]]; then
		echo "not installed: ${missing//$'\n'/ }"
		if ! install_packages $missing; then
			if [[ ${CI:-} == true ]]; then return 1; fi
			echo "not checked: what needs a server that is missing; such tests are skipped"
			return $not_checked
		fi
		serve
	fi
	grep -qx ready "$tmp/serve.out"
	{
		grep '^export ' "$tmp/serve.out"
		echo 'export LATCHKEY_REQUIRE_SERVERS=1'
	} >"$tmp/environment.new"
	mv "$tmp/environment.new" "$tmp/environment"
	cat "$tmp/environment"
}

# serve starts the program that provides the servers until this script ends. It
# returns when that program has printed their addresses, or what is not installed.
serve() {
	end_servers
	"$tmp/serve" -for $$ >"$tmp/serve.out" &
	echo $! >"$tmp/serve.pid"
	while kill -0 $! 2>/dev/null && ! grep -qx ready "$tmp/serve.out"; do sleep 0.1; done
}

# install_packages installs Debian packages as root, or with sudo in CI.
install_packages() { # name...
	local root=()
	if ! command -v apt-get >/dev/null; then
		echo "there is no apt-get to install them with"
		return 1
	fi
	if ((UID != 0)); then
		if [[ ${CI:-} != true ]] || ! sudo -n true; then
			echo "only root may install them"
			return 1
		fi
		root=(sudo -n)
	fi
	# Steps run side by side, and apt-get works for one at a time.
	"${root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update &&
		"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
			apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# end_servers ends the servers that this script has started, and no others.
end_servers() {
	local pid i
	if [[ ! -s $tmp/serve.pid ]]; then return 0; fi
	pid=$(<"$tmp/serve.pid")
	rm "$tmp/serve.pid"
	kill "$pid" 2>/dev/null || true
	for ((i = 0; i < 300; i++)); do
		if ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.1
	done
}

step_servertest() {
	go test -C store/servertest -race -shuffle=on -timeout 20m ./...
}

step_meshstack() {
	go test -C examples/meshstack -race -shuffle=on ./...
}

step_lint() {
	need_tool golangci-lint $golangci_lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	"$tool" config verify
	"$tool" run --allow-parallel-runners --build-tags timing ./...
	# Nested modules exist to import what the root module may not: no depguard.
	local mod config=$PWD/.golangci.yml
	for mod in $(files go.mod); do
		if [[ $mod == ./go.mod ]]; then continue; fi
		(cd "$(dirname "$mod")" && "$tool" run --allow-parallel-runners --config "$config" --build-tags timing --disable depguard ./...)
	done
}

step_vuln() {
	local status=0
	need_tool govulncheck $govulncheck golang.org/x/vuln/cmd/govulncheck
	"$tool" ./... >"$tmp/vuln" 2>&1 || status=$?
	# Status 3 is a finding, never an outage.
	if ((status != 0 && status != 3)) && grep '^govulncheck: fetching vulnerabilities:' "$tmp/vuln"; then
		echo "not checked: the vulnerability database is out of reach"
		return $not_checked
	fi
	cat "$tmp/vuln"
	return $status
}

step_api() {
	.ci/api
}

# step_cross builds and vets every module for macOS and Windows.
step_cross() {
	local os
	for os in darwin windows; do
		echo "$os"
		GOOS=$os CGO_ENABLED=0 each_module go build -o /dev/null ./... # leaves no program in its folder
		GOOS=$os CGO_ENABLED=0 each_module go vet -tags timing ./...
	done
}

step_hosts() {
	.ci/hosts
}

# step_quickstart runs the README's other command to its end.
step_quickstart() {
	local limit=""
	if ! grep -q '^go run \./examples/quickstart' README.md; then
		echo "README.md has no line with the command: go run ./examples/quickstart"
		return 1
	fi
	if command -v timeout >/dev/null; then limit="timeout 120"; fi
	$limit go run ./examples/quickstart -once -addr 127.0.0.1:0
}

# step_mounting tests Latchkey on other routers than net/http's.
step_mounting() {
	go test -C examples/mounting -race -shuffle=on ./...
}

# step_interop runs other projects' clients, verifiers and proxies against Latchkey.
step_interop() {
	local missing=()
	if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then missing+=(nginx-light); fi
	if ! /usr/bin/python3 -c 'import authlib, requests' 2>/dev/null; then missing+=(python3-authlib python3-requests); fi
	if ((${#missing[@]} > 0)) && ! install_packages "${missing[@]}" && [[ ${CI:-} == true ]]; then return 1; fi
	examples/interop/run
}

# step_console tests the web console in Chromium.
step_console() {
	if ! command -v chromium chromium-browser google-chrome >/dev/null && ! install_packages chromium; then
		if [[ ${CI:-} == true ]]; then return 1; fi
		echo "not checked: there is no chromium"
		return $not_checked
	fi
	examples/console/run
}

# step_timing runs, with nothing beside them, the tests that hold a duration to
# a bound.
step_timing() {
	go test -tags timing -run '^TestTiming' -count=1 -p 1 -parallel 1 ./... | grep -v 'no test'
	go test -C store/servertest -tags timing -run '^TestTiming' -count=1 -p 1 -parallel 1 ./... | grep -v 'no test'
}

# step_soak runs the long forms of the tests, which take hours. It runs on request
# and on a schedule; its bounds fit into the 350 minutes of the workflow.
step_soak() {
	export LATCHKEY_SOAK=1
	go test -timeout 90m ./...
	go test -C store/servertest -timeout 150m -p 1 ./...
	fuzztime=90s step_fuzz
}
