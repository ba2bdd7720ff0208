#!/bin/sh
# A seed gives the same trace, byte for byte, in two processes. replay.sh MCPBUS-SIM SEED…
set -eu
sim=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for seed in "$@"; do
    "$sim" --seed "$seed" >"$dir/a"
    "$sim" --seed "$seed" >"$dir/b"
    cmp "$dir/a" "$dir/b"
done
