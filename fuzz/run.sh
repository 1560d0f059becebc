#!/usr/bin/env bash
# Runs every fuzz target for a time, as many at once as there are cores: run.sh SECONDS OUT [BIN]
#
# BIN has the targets as `cargo fuzz build` makes them (bin/ beside this file otherwise). The corpora beside this file are only
# read: OUT/found gets inputs that reach something new, OUT/artifacts those that break a promise, OUT/TARGET.log what a target said,
# OUT/summary.txt a line for each. Fails if any target does.
set -euo pipefail
seconds=${1:?"run.sh SECONDS OUT [BIN]"}
mkdir -p "${2:?"run.sh SECONDS OUT [BIN]"}"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${3:-$here/bin}
# Leaks are looked for by ptrace, which containers forbid; the engine's own memory is counted by the targets.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} RUST_BACKTRACE=0

one() {
    local name=$1 status=0 found artifacts
    found=$out/found/$name artifacts=$out/artifacts/$name
    mkdir -p "$found" "$artifacts"
    "$bin/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 -print_final_stats=1 \
        -artifact_prefix="$artifacts/" "$found" "$here/corpus/$name" >"$out/$name.log" 2>&1 || status=$?
    local progress runs
    progress=$(grep -aoE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+/[0-9A-Za-z]+' "$out/$name.log" | tail -n 1 || true)
    runs=$(grep -aoE 'number_of_executed_units: +[0-9]+' "$out/$name.log" | grep -oE '[0-9]+' | tail -n 1 || true)
    printf '%-26s exit %s, %s runs, %s, %s artifacts\n' "$name" "$status" "${runs:-?}" "${progress:-nothing covered}" \
        "$(find "$artifacts" -type f | wc -l)" >"$out/$name.line"
    if [ "$status" != 0 ]; then tail -n 15 "$out/$name.log" >"$out/$name.last"; fi
    return "$status"
}

cores=$(getconf _NPROCESSORS_ONLN)
failed=0 running=0
for corpus in "$here"/corpus/*/; do
    if [ "$running" -ge "$cores" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    one "$(basename "$corpus")" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
cat "$out"/*.line >"$out/summary.txt"
cat "$out/summary.txt"
for last in "$out"/*.last; do
    if [ -e "$last" ]; then echo "== $(basename "$last" .last)" && cat "$last"; fi
done
exit "$failed"
