#!/bin/bash
# Builds and tests on every Python at hand and prints a table: those that
# this machine has, and 3.14 and 3.15 in the Debian sid root where it lacks
# them. A failure does not stop the others; it shows in the exit status.
#
#   tools/matrix.sh [target [argument...]]     target: a make target, or test
#
# ASYNCLOOP_MATRIX="3.11 3.14" narrows the choice.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
target=${1:-test}
[ $# -gt 0 ] && shift
versions=${ASYNCLOOP_MATRIX:-3.11 3.12 3.13 3.14 3.15}
logs=build/matrix
mkdir -p "$logs"

rows=()
status=0

row() {
    rows+=("$(printf '%-7s %-6s %-7s %5s  %s' "$@")")
}

# The line that says how it went: pytest's closing line, or the last one.
closing_line() {
    local line
    line=$(grep -aE '^(=+ )?[0-9]+ [a-z].* in [0-9.]+s' "$1" | tail -n 1 | tr -d =)
    [ -n "$line" ] || line=$(grep -a . "$1" | tail -n 1)
    echo "${line# }"
}

one() {
    local version=$1 where=$2 log=$logs/$1-$target.log started=$SECONDS
    shift 2
    echo "matrix: $target on Python $version ($where), log in $log"
    local result=passed
    "$@" >"$log" 2>&1 </dev/null || { result=FAILED; status=1; }
    row "$version" "$where" "$result" "$((SECONDS - started))s" \
        "$(closing_line "$log")"
}

for version in $versions; do
    command=(make "$target" "PYTHON=python$version" "ARGS=$*")
    if tools/find-python.sh "python$version" >/dev/null; then
        one "$version" here "${command[@]}"
    elif [[ $version = 3.1[45] ]] && [ "$(id -u)" = 0 ] &&
        [ "$(uname -s)" = Linux ]; then
        one "$version" sid tools/sid-root.sh run "${command[@]}"
    else
        row "$version" - absent - "not installed"
    fi
done

echo
printf '%-7s %-6s %-7s %5s  %s\n' Python where result time "what it said"
printf '%s\n' "${rows[@]}"
exit $status
