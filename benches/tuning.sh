#!/usr/bin/env bash
# What single settings move: the figures of docs/tuning.md. Needs jq.
#
#   cargo build --release && bash benches/tuning.sh [ROUNDS] [PROGRAM]
#
# Only `compression` or only `others`: set FOREBAY_TUNING to it.
#
# Each row is one setting of a group; the rounds of a group are interleaved, so that a slow spell of the machine strikes all alike,
# and the median of each figure is told.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-3}
forebay=${2:-target/release/forebay}
folder=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker"; rm -rf "$folder"' EXIT

# A broker that keeps nothing, in a process of its own: its processor time is not the client's. With the options given.
start() {
    [ -z "$broker" ] || { kill "$broker"; wait "$broker" 2>/dev/null || true; }
    : >"$folder/address"
    "$forebay" mock-broker --mode discard --partitions 16 "$@" >"$folder/address" &
    broker=$!
    until [ -s "$folder/address" ]; do sleep 0.05; done
    read -r _ address <"$folder/address"
}

# group TITLE "OPTIONS OF ALL" "SETTINGS" …
group() {
    local title=$1 options=$2 round setting
    shift 2
    rm -f "$folder"/*.json
    for ((round = 0; round < rounds; round++)); do
        local number=0
        for setting in "$@"; do
            number=$((number + 1))
            # shellcheck disable=SC2086 # both are lists of words
            "$forebay" perf --bootstrap-server "$address" --format json $options $(printf -- ' -X %s' $setting) \
                >"$folder/$number.$round.json" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
        done
    done
    printf '\n%s (%s)\n\n| setting | records/s | client CPU, ns per record | send to ack, p50 | p99 | resident |\n|---|---|---|---|---|---|\n' \
        "$title" "$options"
    local number=0
    for setting in "$@"; do
        number=$((number + 1))
        # shellcheck disable=SC2016 # jq's variables
        jq -rs --arg setting "$setting" '
            def median: sort | .[(length - 1) / 2 | floor];
            def of(f): map(f) | median;
            "| \($setting) | \(of(.records_per_sec) | floor) | \(of(.cpu_ns_per_record) | floor) | \(of(.ack_us.p50)) µs | \(of(.ack_us.p99)) µs | \(of(.max_rss_bytes) / 1048576 | floor) MiB |"
        ' "$folder/$number".*.json
    done
}

# compression "SETTINGS" …: JSON lines as a service logs them, some 170 bytes each, the same for all.
compression() {
    local lines=100000 round number setting
    awk -v lines="$lines" 'BEGIN {
        srand(7)
        methods = split("GET POST PUT DELETE", method, " ")
        services = split("orders users carts search payments", service, " ")
        for (i = 0; i < lines; i++)
            printf "{\"time\":\"2026-11-26T17:%02d:%02d.%06dZ\",\"level\":\"info\",\"service\":\"%s\",\"method\":\"%s\",\"path\":\"/v1/%s/%d\",\"status\":%d,\"ms\":%.3f,\"trace\":\"%08x%08x\"}\n", \
                rand() * 60, rand() * 60, rand() * 1e6, service[int(rand() * services) + 1], method[int(rand() * methods) + 1], \
                service[int(rand() * services) + 1], rand() * 1e6, 200 + int(rand() * 4) * 100, rand() * 500, rand() * 2^32, rand() * 2^32
    }' >"$folder/lines"
    for ((round = 0; round < rounds; round++)); do
        number=0
        for setting in "$@"; do
            number=$((number + 1))
            # shellcheck disable=SC2086 # a list of words
            { TIMEFORMAT='%U %S %R'; time "$forebay" produce --bootstrap-server "$address" --topic "t$number" \
                $(printf -- ' -X %s' $setting) "$folder/lines" 2>"$folder/log"; } 2>>"$folder/times.$number" \
                || { cat "$folder/log" >&2; exit 1; }
        done
    done
    # What the broker has received it tells when it is stopped.
    kill "$broker"
    wait "$broker" || true
    broker=
    printf '\ncompression (%s lines, %s bytes)\n\n| setting | bytes sent, of the plain ones | client CPU, ns per record | seconds |\n|---|---|---|---|\n' \
        "$lines" "$(wc -c <"$folder/lines")"
    number=0
    for setting in "$@"; do
        number=$((number + 1))
        local bytes cpu wall
        bytes=$(awk -v topic="t$number-" 'index($1, topic) == 1 { sum += $9 } END { printf "%.0f", sum }' "$folder/address")
        [ "$number" -gt 1 ] || plain=$bytes
        cpu=$(awk -v lines="$lines" '{ print ($1 + $2) * 1e9 / lines }' "$folder/times.$number" | median)
        wall=$(awk '{ print $3 }' "$folder/times.$number" | median)
        printf '| %s | %s | %.0f | %s |\n' "$setting" "$(awk -v a="$bytes" -v b="$plain" 'BEGIN { printf "%.2f", a / b }')" "$cpu" "$wall"
    done
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

start
if [ "${FOREBAY_TUNING:-compression}" = compression ]; then
    compression compression.type=none compression.type=snappy compression.type=lz4 \
        "compression.type=zstd compression.zstd.level=1" compression.type=zstd "compression.type=zstd compression.zstd.level=9" \
        "compression.type=gzip compression.gzip.level=1" compression.type=gzip "compression.type=zstd io.compression.threads=1"
fi
[ "${FOREBAY_TUNING:-others}" = others ] || exit 0
steady="--partitions 4 --throughput 100000 --num-records 100000"
start
group "linger.ms, at a rate" "$steady" linger.ms=0 linger.ms=1 linger.ms=5 linger.ms=20 linger.ms=100
group "batch.size, at a rate" "$steady" batch.size=1000 batch.size=4096 batch.size=16384 batch.size=65536
group "batch.size, as fast as it goes" "--partitions 4 --num-records 2000000" batch.size=4096 batch.size=16384 batch.size=262144
group "io.spin.us, few records" "--partitions 1 --throughput 2000 --num-records 2000" \
    "linger.ms=5" "linger.ms=0" "linger.ms=0 io.spin.us=100" "linger.ms=0 io.spin.us=1000"
group "buffer.memory, as fast as it goes" "--partitions 4 --num-records 2000000" \
    buffer.memory=1048576 buffer.memory=4194304 buffer.memory=33554432 buffer.memory=134217728
group "acks, at a rate" "$steady" acks=all acks=1 acks=0
start --fault delay-ms=20
group "buffer.memory, acknowledgements 20 ms late" "--partitions 4 --num-records 2000000" \
    buffer.memory=4194304 buffer.memory=33554432 buffer.memory=134217728
