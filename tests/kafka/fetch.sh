#!/usr/bin/env bash
# Gets a real Kafka for the tests: its jars through Maven, and the three small Java programs beside this script, compiled.
#
#   tests/kafka/fetch.sh [FOLDER] [KAFKA_VERSION]     (default: .kafka of the repository, the version in pom.xml)
#
# Needs a JDK 17 or later and Maven. Prints nothing when all is already there. Several calls at once are safe:
# each works in a folder of its own and the first to finish wins.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
pinned=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
version=${2:-$pinned}
folder=${1:-$root/.kafka}
jars=$folder/$version
classes=$folder/$version-classes
bin=${JAVA_HOME:+$JAVA_HOME/bin/}

for tool in mvn "${bin}javac" "${bin}java"; do
    command -v "$tool" >/dev/null || { echo "fetch.sh: $tool is missing (a JDK 17 or later and Maven are needed)" >&2; exit 1; }
done
mkdir -p "$folder"

if [ ! -d "$jars" ]; then
    echo "fetch.sh: getting the jars of Kafka $version through Maven" >&2
    fresh=$(mktemp -d "$folder/fetch.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    only=()
    [ "$version" = "$pinned" ] || only=(-Dbroker.only=true)
    mvn -q -B -f "$here/pom.xml" -Dkafka.version="$version" "${only[@]}" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$fresh/jars" >&2
    # A rename is all or nothing; where another call has won, its jars are as good.
    mv -T "$fresh/jars" "$jars" 2>/dev/null || [ -d "$jars" ]
fi

sources=("$here"/*.java)
stale=no
for source in "${sources[@]}"; do
    [ "$classes/$(basename "$source" .java).class" -nt "$source" ] || stale=yes
done
if [ "$stale" = yes ]; then
    mkdir -p "$classes"
    fresh_classes=$(mktemp -d "$folder/classes.XXXXXX")
    trap 'rm -rf "${fresh:-$fresh_classes}" "$fresh_classes"' EXIT
    "${bin}javac" -nowarn -cp "$jars/*" -d "$fresh_classes" "${sources[@]}"
    for class in "$fresh_classes"/*.class; do
        mv -f "$class" "$classes/"
    done
fi
