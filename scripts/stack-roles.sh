# shellcheck shell=bash
# Sourced by scripts/stack: teamlog itself on the stack's servers, each role in processes of its own.

# Every role twice, so that either of the two may die. Only with three brokers: on one, its death would stop all of them.
roles() {
    [ "$(brokers)" -lt 3 ] || printf '%s\n' ingest1 ingest2 project1 project2 work1 work2 gateway1 gateway2
}

# With LINKS=1 nothing that a role calls is called directly: at NAME_link a proxy of a test stands before each part, and can
# do to the connection what networks do. Which role calls is for the proxy to find out, for a broker tells all of its clients
# one address, and a node all other nodes.
links() { [ "${LINKS:-}" = 1 ]; }

link_ports() {
    ! links || {
        names | sed 's/$/_link/'
        kafka_names | sed 's/$/_linked/'
    }
}

# A process of its own cargo build, or whatever TEAMLOG_BIN names.
teamlog() { echo "${TEAMLOG_BIN:-${CARGO_TARGET_DIR:-$TARGET}/debug/teamlog}"; }

# What is there already takes cargo a second.
build_teamlog() {
    [ -z "${TEAMLOG_BIN:-}" ] || return 0
    "$ROOT/scripts/setup" rust
    say 'building'
    (cd "$ROOT" && cargo build --locked -p teamlog --bin teamlog)
}

# What differs between the processes: all of them read the same file.
role_env() {
    local called
    if links; then called=$(port "${1}_link"); else called=$(internal_port "$1"); fi
    cat <<TXT
TEAMLOG_CLUSTER__LISTEN=127.0.0.1:$(internal_port "$1")
TEAMLOG_CLUSTER__ADVERTISE=http://127.0.0.1:$called
TXT
    case $1 in
        gateway*)
            cat <<TXT
TEAMLOG_SERVER__LISTEN=127.0.0.1:$(port "$1")
TEAMLOG_SERVER__PUBLIC_URL=http://127.0.0.1:$(port "$1")
TXT
            ;;
        project*) echo "TEAMLOG_SEARCH__DIR=$STACK/data/$1/search" ;;
    esac
}

# Where other nodes reach it: all but gateways have no other port.
internal_port() {
    case $1 in
        gateway*) port "${1}_internal" ;;
        *) port "$1" ;;
    esac
}

run_role() {
    local teamlog env config="$STACK/teamlog.toml"
    teamlog=$(teamlog)
    [ -x "$teamlog" ] || build_teamlog
    ! port_taken "$(internal_port "$1")" || die "port $(internal_port "$1") of $1 is taken by another program; 'make stack-clean' lets the stack choose anew"
    mapfile -t env <"$STACK/conf/$1.env"
    ! links || config="$STACK/conf/links.toml"
    if [ -n "${CLOCK_OFF:-}" ]; then
        "$ROOT/scripts/setup" clock
        env+=("LD_PRELOAD=$TARGET/tools/clock.so" "CLOCK_OFF=$CLOCK_OFF")
    fi
    launch "$1" env "${env[@]}" "$teamlog" --config "$config" --data-dir "$STACK/data/$1" "${1%[0-9]}"
}

server_file() { echo "$STACK/data/$1/run/server.json"; }

# True if it can serve. What one that was killed said of itself is still there: it does not count. One whose clock is off
# may never be ready: that it is there is enough.
role_answers() {
    grep -qs "\"pid\":$(cat "$STACK/pids/$1")[,}]" "$(server_file "$1")" &&
        { [ -n "${CLOCK_OFF:-}" ] || is_ready "127.0.0.1:$(port "$1")"; }
}

gateway_urls() {
    local name
    for name in gateway1 gateway2; do echo "http://127.0.0.1:$(port "$name")"; done
}

# For programs that talk to the cluster. The operators' key is that of every process with the cluster's key.
write_cluster_json() {
    local key urls
    key=$(sed -n 's/.*"admin_key":"\([^"]*\)".*/\1/p' "$(server_file gateway1)")
    [ -n "$key" ] || die "gateway1 tells no key in $(server_file gateway1)"
    urls=$(gateway_urls | sed 's/.*/"&"/' | paste -sd,)
    (umask 077 && printf '{"gateways":[%s],"admin_key":"%s"}\n' "$urls" "$key" >"$STACK/cluster.json.new")
    mv "$STACK/cluster.json.new" "$STACK/cluster.json"
}
