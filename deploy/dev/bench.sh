# shellcheck shell=bash
# ./dev bench: ours and the peers in turns, on a private PostgreSQL, in a temporary folder.

cmd_bench() {
    install_for build run bench
    test_environment
    trap test_cleanup EXIT
    trap 'exit 130' INT TERM
    if ! is_set BENCH_BIN; then
        build release
        BENCH_BIN=$ROOT/build/bin
    fi
    BENCH_LOAD=$(dirname "$BENCH_BIN")/bench/mcpbus-load
    [[ -x $BENCH_LOAD ]] || die "there is no load generator $BENCH_LOAD"
    test_postgres_start
    say "measuring; whatever else runs on this machine is in the figures"
    MCPBUS_BIN=$BENCH_BIN BENCH_LOAD=$BENCH_LOAD BENCH_DATABASE_BASE=$TEST_DATABASE_BASE \
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$ROOT/tests/bench/bench.py" "$@"
}
