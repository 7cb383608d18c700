# What the runners of the foreign clients need. Sourced, not run; bash.
#
# A runner exits 77 (ctest: skipped) with its reason when what it needs cannot be had on this
# machine. With CI=true only a registry that cannot be reached is a reason, and a Go that is missing or
# too old, which ops/deps does not install.

. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../ops/lib/common.sh"

skip() { printf 'skipped: %s\n' "$*"; exit 77; }

# Something that ops/deps installs is not there.
lacking() {
    [ "${CI:-}" != true ] || die "$1 is missing: ops/deps interop"
    skip "$1 is missing: ops/deps interop"
}

need() { command -v "$1" >/dev/null || lacking "$1"; }

# The packages of DIR/package-lock.json, installed once per build folder into $work/node_modules.
npm_install() {
    local from=$1 log
    need npm
    mkdir -p "$work"
    cp "$from/package.json" "$from/package-lock.json" "$work/"
    cmp -s "$work/package-lock.json" "$work/node_modules/.installed" && return
    log=$work/npm.log
    if ! (cd "$work" && npm ci --no-audit --no-fund --ignore-scripts) >"$log" 2>&1; then
        if grep -qE 'ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|E50[0-9]' "$log"; then
            skip "the npm registry cannot be reached: $(grep -m1 -E 'code|errno' "$log" || true)"
        fi
        cat "$log" >&2
        die "npm ci failed"
    fi
    cp "$work/package-lock.json" "$work/node_modules/.installed"
}

work=${SEALGATE_BUILD:?set by ctest}/interop

# Runs a command of Go's; its standard output is ours. Only a proxy that cannot be reached skips.
go_run() {
    local log
    # Debian's is too old for what is wanted here, so ops/deps does not install it.
    command -v go >/dev/null || skip "go is missing"
    mkdir -p "$work"
    log=$work/go.$BASHPID.log
    # A toolchain of another version would be a download of its own.
    if ! GOTOOLCHAIN=local GOFLAGS=${GOFLAGS:-} "$@" 2>"$log"; then
        if grep -qE 'no such host|connection refused|i/o timeout|network is unreachable|TLS handshake timeout|: 50[0-9] ' "$log"; then
            skip "the Go module proxy cannot be reached: $(tail -1 "$log")"
        fi
        if grep -qE 'requires (go >=|Go 1)|invalid go version' "$log"; then
            skip "this Go is too old: $(grep -m1 -E 'requires (go >=|Go 1)|invalid go version' "$log")"
        fi
        cat "$log" >&2
        die "$* failed"
    fi
    rm -f "$log"
}

# go_install PACKAGE VERSION FOLDER: the program of that package in the folder, built once.
go_install() {
    local name stamp
    name=$(basename "$1")
    stamp=$3/.$name-$2
    [ -f "$stamp" ] && [ -x "$3/$name" ] && return
    mkdir -p "$3"
    (cd "$3" && GOBIN=$3 go_run go install "$1@$2")
    touch "$stamp"
}

# go_build FOLDER PACKAGE TO: a program whose module has no go.mod of its own, by the pins of FOLDER's.
go_build() {
    mkdir -p "$3"
    cp "$1/go.mod" "$1/go.sum" "$3/"
    (cd "$3" && GOFLAGS=-mod=readonly go_run go build -o "$3/" "$2")
}

# go_module MODULE VERSION: the folder of its sources.
go_module() { (cd / && go_run go mod download -json "$1@$2") | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }

# connect: the environment of the instance, as client dev.
connect() {
    eval "$("$top/ops/dev" env)"
    export INSTANCE_PKI=${SEALGATE_DEV_DIR:?set by ctest}/pki
}

# example LANGUAGE: the program of that language in docs/integration.md.
example() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } /^```/ { on = 0 } on' "$top/docs/integration.md"; }

# verifies KEY SIGNATURE DOCUMENT: openssl's word on an ECDSA signature made by an example.
verifies() {
    sealgate keys public-key "$1" --out "$work/example.pem"
    openssl dgst -sha256 -verify "$work/example.pem" -signature "$2" "$3"
}
