# shellcheck shell=bash
# ./dev chaos: faults under load, judged by an oracle outside the system (tests/chaos).

cmd_chaos() {
    local plan
    for plan in "$@"; do
        case $plan in
        --plan | -h | --help)
            install_for run test
            chaos_program "$@" || exit
            return
            ;;
        esac
    done
    install_for build run test
    test_environment
    trap test_cleanup EXIT
    trap 'exit 130' INT TERM
    if ! is_set CHAOS_BIN; then
        build release
        CHAOS_BIN=$ROOT/build/bin
    fi
    run_chaos "$CHAOS_BIN" "$@" || exit
}

# run_chaos PROGRAMS ARGUMENT…: on a PostgreSQL of its own, in $TEST_DIR. When it is interrupted, the
# program sees to its end itself, and only then do we go on.
run_chaos() {
    local bin=$1 password dir=$TEST_DIR/chaos-pg status=0 pid
    shift
    password=$(random_hex 16)
    CHAOS_PG_PORT=$(free_ports 1) || return 1
    pg_make "$dir" "$password"
    pg_command "$dir" "$CHAOS_PG_PORT" >"$TEST_DIR/chaos-pg.command"
    CHAOS_PG=$(realpath "$dir") CHAOS_PG_COMMAND=$TEST_DIR/chaos-pg.command \
        CHAOS_PG_PASSWORD=$password CHAOS_PG_PORT=$CHAOS_PG_PORT MCPBUS_BIN=$bin \
        chaos_program "$@" || status=$?
    rm -rf "$dir" "$(realpath -m "$dir")"
    return "$status"
}

chaos_program() {
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$ROOT/tests/chaos/chaos.py" "$@"
}
