# Development instances for tests. Sourced after ops/lib/common.sh; bash.

# One token is what most tests are about; those that want two say so.
export SEALGATE_DEV_TOKENS=${SEALGATE_DEV_TOKENS:-1}

# instance_up: a new instance in SEALGATE_DEV_DIR by the programs of SEALGATE_BUILD, on free ports,
# so that it runs beside the developer's own. Its token is a copy of the first that was made in
# this build folder: making an RSA-4096 key takes seconds.
instance_up() {
    local dir=$SEALGATE_DEV_DIR kept=$SEALGATE_BUILD/token
    "$top/ops/dev" reset 2>/dev/null
    mkdir -p "$dir"
    [ ! -d "$kept" ] || cp -a "$kept" "$dir/token"
    SEALGATE_DEV_PORT=$(free_port) SEALGATE_DEV_METRICS_PORT=$(free_port) SEALGATE_DEV_BEARER_PORT=$(free_port) \
        "$top/ops/dev" up
    [ -d "$kept" ] || { # and where another did so meanwhile, his is kept
        cp -a "$dir/token" "$kept.$$"
        mv -T "$kept.$$" "$kept" 2>/dev/null || rm -rf "$kept.$$"
    }
}

# instance_down: stops it; fails when a sanitizer complained in its log. The log stays.
instance_down() {
    local rc=0
    "$top/ops/dev" down || rc=1
    if grep -nE -A 20 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' \
        "$SEALGATE_DEV_DIR/log" >&2; then
        rc=1
    fi
    return $rc
}
