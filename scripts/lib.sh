# shellcheck shell=bash disable=SC2034
# Sourced by every script here: where things lie, and how to say something to people. Data goes to stdout, progress to stderr.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET="$ROOT/target"
# What an own installation of Rust put there; a shell that no login started does not have it in PATH.
if [ -f "${HOME:-/nonexistent}/.cargo/env" ]; then
    # shellcheck disable=SC1091
    . "$HOME/.cargo/env"
fi

say() { printf 'teamlog: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# True if something accepts connections on this loopback port.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_until SECONDS COMMAND...: tries until it succeeds; false once the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# first_line HOST PORT QUESTION: of the answer, if one comes within 5 s. In a shell of its own: whoever is asked may close the
# connection at any moment, and writing to it then is a signal, which would end a script without a word.
first_line() (
    trap '' PIPE
    exec 2>/dev/null
    line=
    exec 3<>"/dev/tcp/$1/$2"
    printf '%b' "$3" >&3 || true
    read -r -t 5 line <&3 || true
    printf '%s\n' "$line"
)

# True if the teamlog at HOST:PORT says that it is ready.
is_ready() {
    local asked="GET /readyz HTTP/1.1\\r\\nHost: $1\\r\\nConnection: close\\r\\n\\r\\n"
    [[ $(first_line "${1%:*}" "${1##*:}" "$asked") == *' 200 '* ]]
}
