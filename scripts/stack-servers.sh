# shellcheck shell=bash
# Sourced by scripts/stack: the servers below teamlog, how each is set up, started and asked whether it works, and the
# configuration with which teamlog finds them.

DATABASES=(teamlog_mains teamlog_s1 teamlog_s2)

run_kafka() {
    local conf="$STACK/conf/$1.properties"
    if [ ! -f "$STACK/data/$1/meta.properties" ]; then
        java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$TARGET/kafka/libs/*" kafka.tools.StorageTool format -t "$(kafka_cluster_id)" -c "$conf" >"$STACK/logs/$1.format.log" 2>&1 ||
            die "formatting $1 failed, see $STACK/logs/$1.format.log"
    fi
    launch "$1" java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dorg.slf4j.simpleLogger.showDateTime=true '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS' \
        -cp "$TARGET/kafka/libs/*" kafka.Kafka "$conf"
}

kafka_cluster_id() {
    # What StorageTool's random-uuid gives, without a second of Java: 16 bytes in base64url. A leading dash would be a flag.
    [ -s "$STACK/kafka.id" ] || { printf K && head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22; } >"$STACK/kafka.id"
    cat "$STACK/kafka.id"
}

# The properties of one node, broker and controller in one.
kafka_conf() {
    local id=${1#kafka} replicas voters listeners advertised protocols=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
    replicas=$(brokers)
    voters=$(for n in $(seq "$replicas"); do echo "$n@127.0.0.1:$(port "kafka${n}_controller")"; done | paste -sd,)
    advertised="CLIENT://127.0.0.1:$(port "$1")"
    listeners="$advertised,CONTROLLER://127.0.0.1:$(port "${1}_controller")"
    if links; then
        # A broker tells its clients where to come: whoever came in by the proxy is sent to the proxies.
        listeners+=",LINKS://127.0.0.1:$(port "${1}_linked")"
        advertised+=",LINKS://127.0.0.1:$(port "${1}_link")"
        protocols+=,LINKS:PLAINTEXT
    fi
    cat <<TXT
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=$listeners
advertised.listeners=$advertised
listener.security.protocol.map=$protocols
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs=$STACK/data/$1
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$(((replicas + 1) / 2))
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$(((replicas + 1) / 2))
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$(((replicas + 1) / 2))
# One machine has no use for fifty partitions of each internal topic, nor for a cleaner's 128 MB.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=2
share.coordinator.state.topic.num.partitions=2
log.cleaner.dedupe.buffer.size=16777216
group.initial.rebalance.delay.ms=0
# A dead broker holds up acks=all until it is fenced, by default for 9 s.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
TXT
}

# Temporary files lie in a folder of each server's own: one that starts deletes whatever temporary tables it finds, those of
# another that runs too, which then fails or crashes.
run_dc() {
    local data="$STACK/data/$1" tmp="$STACK/tmp/$1"
    mkdir -p "$tmp"
    if [ ! -d "$data" ]; then
        rm -rf "$data.new"
        mariadb-install-db --no-defaults --datadir="$data.new" --tmpdir="$tmp" --auth-root-authentication-method=normal \
            --skip-test-db --user="$(id -un)" >"$STACK/logs/$1.install.log" 2>&1 ||
            die "making the database $1 failed: $(grep -m 1 ERROR "$STACK/logs/$1.install.log"); see $STACK/logs/$1.install.log"
        # None that is half made is ever started.
        mv "$data.new" "$data"
    fi
    # The socket's path must stay below 108 bytes, wherever the stack lies: a relative one does.
    launch "$1" mariadbd --no-defaults --datadir="$data" --tmpdir="$tmp" --user="$(id -un)" --port="$(port "$1")" \
        --bind-address=127.0.0.1 --socket=server.sock --pid-file=server.pid --innodb-buffer-pool-size=64M \
        --skip-name-resolve --character-set-server=utf8mb4 --collation-server=utf8mb4_bin
}

run_memcached() { launch "$1" memcached -l 127.0.0.1 -p "$(port "$1")" -U 0 -m 64 -u "$(id -un)"; }

# ---- answering

sql() { mariadb --no-defaults -h127.0.0.1 -P"$(port "$1")" -uroot --connect-timeout=2 -e "$2" >/dev/null 2>&1; }

kafka_answers() {
    local list name
    list=$(kcat -b "127.0.0.1:$(port "$1")" -L -m 2 2>/dev/null) || return 1
    for name in $(kafka_names); do
        ! alive "$name" || grep -q "broker ${name#kafka} at" <<<"$list" || return 1
    done
}

memcached_answers() { [[ $(first_line 127.0.0.1 "$1" 'version\r\n') == VERSION* ]]; }

# ---- the configuration

# Ready for --config. The key stays with the data that depends on it, however often the file is written.
write_config() {
    [ -s "$STACK/cluster.key" ] || (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$STACK/cluster.key")
    (umask 077 && config >"$STACK/teamlog.toml.new")
    mv "$STACK/teamlog.toml.new" "$STACK/teamlog.toml"
    ! links || (umask 077 && config _link >"$STACK/conf/links.toml")
}

# config [SUFFIX]: SUFFIX is that of the ports at which servers are called.
config() {
    local suffix=${1:-}
    cat <<TXT
# Written by scripts/stack; changes are lost at its next start.
[cluster]
keys = ["$(cat "$STACK/cluster.key")"]

[log]
engine = "kafka"
brokers = [$(for name in $(kafka_names); do echo "\"127.0.0.1:$(port "$name$suffix")\""; done | paste -sd, | sed 's/,/, /g')]
replication = $(brokers)

[mains]
replicas = $(replicas teamlog_mains)

[[shards]]
name = "s1"
replicas = $(replicas teamlog_s1)

[[shards]]
name = "s2"
replicas = $(replicas teamlog_s2)

[cache]
servers = ["127.0.0.1:$(port "memcached1$suffix")", "127.0.0.1:$(port "memcached2$suffix")"]

[search]
dir = "$STACK/data/search"
TXT
}

replicas() { echo "[\"mysql://root@127.0.0.1:$(port "dc1$suffix")/$1\", \"mysql://root@127.0.0.1:$(port "dc2$suffix")/$1\"]"; }
