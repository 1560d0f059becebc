#!/usr/bin/env bash
# What a record without linger waits for, by the kernel's own trace: the table of docs/latency.md. Needs root and tracefs.
#
#   cargo build --release && sudo bash benches/wakeups.sh [RECORDS A SECOND] [SETTING …]
#
# Sends for four seconds to a broker that keeps nothing, with `linger.ms=0` and the settings given, and tells for each thread how long it took
# to be woken on another processor, how long it then waited in line, and for how long it ran at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rate=${1:-10000}
shift || true
forebay=target/release/forebay
tracing=/sys/kernel/tracing
trace=$tracing/instances/forebay-$$
[ -w "$tracing/instances" ] || { echo "$tracing/instances cannot be written: be root, and mount tracefs there" >&2; exit 1; }
folder=$(mktemp -d)
broker=
mkdir "$trace"
trap '[ -z "$broker" ] || kill "$broker"; rmdir "$trace"; rm -rf "$folder"' EXIT

"$forebay" mock-broker --mode discard --partitions 4 >"$folder/address" &
broker=$!
until [ -s "$folder/address" ]; do sleep 0.05; done
read -r _ address <"$folder/address"

echo 65536 >"$trace/buffer_size_kb" # of each processor
for event in sched_waking sched_wakeup sched_switch; do echo 1 >"$trace/events/sched/$event/enable"; done
# shellcheck disable=SC2046 # a list of words
"$forebay" perf --bootstrap-server "$address" --partitions 4 --throughput "$rate" --num-records $((rate * 4)) \
    -X linger.ms=0 $(printf -- ' -X %s' "$@" | sed 's/^ -X $//')
echo 0 >"$trace/tracing_on"
cat "$trace/trace" >"$folder/trace"
if grep -q 'LOST' "$folder/trace"; then echo "the trace has gaps: fewer records a second" >&2; fi

# Times in µs: "WHAT THREAD TIME", then their percentiles.
awk '
    # The value behind NAME= in the words of the event, which begin at word `at`.
    function of(name, i) {
        for (i = at; i <= NF; i++)
            if (index($i, name "=") == 1) return substr($i, length(name) + 2)
    }
    {
        for (at = 2; at <= NF && $at !~ /^sched_(waking|wakeup|switch):$/; at++) continue
        if (at > NF) next
        now = $(at - 1) * 1e6
        match($0, /\[[0-9]+\]/)
        processor = substr($0, RSTART + 1, RLENGTH - 2) + 0
    }
    $at == "sched_waking:" { asked[of("pid")] = now; by[of("pid")] = processor }
    $at == "sched_wakeup:" {
        pid = of("pid")
        if (pid in asked && by[pid] != of("target_cpu") + 0) print "woken", of("comm"), now - asked[pid]
        delete asked[pid]
        awake[pid] = now
    }
    $at == "sched_switch:" {
        # Some switches away from an idle processor are not in the trace: such a thread runs from its wake-up on.
        pid = of("prev_pid")
        begin = pid in awake ? awake[pid] : since[processor]
        if (pid != 0 && begin) print "ran", of("prev_comm"), now - begin
        delete awake[pid]
        pid = of("next_pid")
        if (pid in awake) print "waited", of("next_comm"), now - awake[pid]
        delete awake[pid]
        since[processor] = now
    }
' "$folder/trace" | sort -k1,1 -k2,2 -k3,3g | awk '
    function tell() {
        if (n >= 1000)
            printf "| %s | %s | %d | %.0f | %.0f | %.0f | %.0f |\n", what, who, n, at[int(n / 2) + 1], at[int(n * 0.99) + 1], \
                at[int(n * 0.999) + 1], at[n]
    }
    BEGIN { print "\n| | thread | times | p50, µs | p99 | p99.9 | longest |\n|---|---|---|---|---|---|---|" }
    $1 != what || $2 != who { tell(); n = 0 }
    { what = $1; who = $2; at[++n] = $3 }
    END { tell() }
'
