# shellcheck shell=bash
# ./dev test: everything in a temporary folder, on free ports, beside whatever is up.

TEST_FAILURES=()
TEST_DIGEST=''

cmd_test() {
    local all=0 level=0 names=()
    TEST_SOAK=0
    while (($#)); do
        case $1 in
        --all) all=1 level=$((level > 1 ? level : 1)) ;;
        --long) level=2 ;;
        --soak) TEST_SOAK=1 ;;
        -*) die "test takes [NAME…] [--all] [--long] [--soak], not \"$1\"" ;;
        *) names+=("$1") ;;
        esac
        shift
    done
    install_for build run test
    ((!all)) || install_for lint deploy
    test_environment
    export MCPBUS_TEST_LONG=$level
    FUZZ_SECONDS=${FUZZ_SECONDS:-$((all ? 10 : 3))}
    trap test_cleanup EXIT
    trap 'exit 130' INT TERM
    TEST_BEGIN=$SECONDS
    build release
    run_ctest build "${names[@]}"
    ((${#names[@]})) || run_fuzz
    run_pytest "$ROOT/build/bin" "${names[@]}"
    run_chaos_test "${names[@]}"
    ((!all)) || run_all "${names[@]}"
    ((level < 2)) || check "simulation, new seeds" run_simulation $((RANDOM * 100000)) || true
    test_verdict
}

# --all: a second compiler, and everything again under the sanitizers.
run_all() {
    check "simulation, more seeds" run_simulation 1000000 || true
    check "clang build" build_only clang || true
    if check "asan build" build_only asan; then
        sanitizer_options
        run_ctest build/asan "$@"
        run_pytest "$ROOT/build/asan/bin" "$@"
        sanitizer_reports
        unset ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
    fi
    if check "tsan build" build_only tsan; then
        export TSAN_OPTIONS="suppressions=$ROOT/tests/tsan.supp halt_on_error=1"
        run_ctest build/tsan "$@"
    fi
    check "lint" cmd_lint || true
}

build_only() {
    (build "$1")
}

# check NAME COMMAND…: runs it, remembers a failure and what it said. (A pipe would not end before a
# process that the command has left behind.)
check() {
    local name=$1 log=$TEST_DIR/check.log status=0 out teller
    shift
    say "test: $name"
    exec {out}> >(exec tee "$log")
    teller=$!
    ("$@") >&"$out" 2>&1 {out}>&- || status=$?
    exec {out}>&-
    timeout 10 tail --pid="$teller" -f /dev/null || true
    ((status)) || return 0
    TEST_FAILURES+=("$name")
    TEST_DIGEST+=$(digest "$log")$'\n'
    warn "failed: $name"
    return 1
}

# What a failed check said that matters: failed tests, findings, else its last lines.
digest() {
    grep -aE '^(FAILED|ERROR) |^FINDING |\*\*\*(Failed|Timeout)|\(Failed\)$' "$1" | tail -n 8 | cut -c 1-300 ||
        tail -n 5 "$1" | cut -c 1-300
}

# Nothing of the caller's stack or accounts may reach the tests.
test_environment() {
    local name
    for name in $(compgen -e); do
        case $name in
        GOOGLE_* | OPENAI_* | DATABASE_URL | JWT_SECRET* | TOKEN_ENCRYPTION_KEY* | MCP_CONFIG | \
            MCPBUS_* | *_PORT | PUBLIC_URL | BROKER_ENDPOINT | WORKER_* | JOB_* | RATE_LIMIT | \
            QUEUE_LIMIT | LOG_LEVEL | LOG_FORMAT | HTTPS_PROXY | https_proxy | HTTP_PROXY | \
            http_proxy | ALL_PROXY | all_proxy | NO_PROXY | no_proxy | CA_BUNDLE | \
            TRUSTED_PROX* | STRANGER_RATE_LIMIT | WEBHOOK_* | MONITOR_*)
            unset "$name"
            ;;
        esac
    done
    export MCPBUS_ENV_FILE=/dev/null
    TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/mcpbus-test.XXXXXX")
    chmod 711 "$TEST_DIR"
    export MCPBUS_TEST_DIR=$TEST_DIR
}

test_cleanup() {
    local dir
    trap '' INT TERM
    test_postgres_stop
    for dir in "$TEST_DIR"/*/.mcpbus; do
        [[ -e $dir ]] || continue
        (MCPBUS_RUN_DIR=$(dirname "$dir") && cmd_down --purge) || true
    done
    rm -rf "$TEST_DIR"
}

# The unit tests' own PostgreSQL; TEST_DATABASE_URL is an empty database.
test_postgres_start() {
    local port command password
    [[ -z ${TEST_POSTGRES_PID:-} ]] || return 0
    password=$(random_hex 16)
    pg_make "$TEST_DIR/pg" "$password"
    port=$(free_ports 1)
    mapfile -d '' -t command < <(pg_command "$TEST_DIR/pg" "$port")
    (cd "$(realpath "$TEST_DIR/pg")" && exec setsid "${command[@]}") >"$TEST_DIR/pg.log" 2>&1 \
        </dev/null &
    TEST_POSTGRES_PID=$!
    wait_for 30 pg_ready "$port" || die "the tests' PostgreSQL does not start:" \
        "$(tail -n 5 "$TEST_DIR/pg.log")"
    TEST_DATABASE_BASE=postgresql://mcpbus:$password@127.0.0.1:$port
}

test_postgres_stop() {
    [[ -n ${TEST_POSTGRES_PID:-} ]] || return 0
    kill -INT "$TEST_POSTGRES_PID" 2>/dev/null || true
    wait "$TEST_POSTGRES_PID" 2>/dev/null || true
    TEST_POSTGRES_PID=''
}

# run_ctest BUILD-FOLDER NAME…
run_ctest() {
    local dir=$ROOT/$1 database filter=()
    shift
    test_postgres_start
    database=test_$(random_hex 4)
    psql -q "$TEST_DATABASE_BASE/mcpbus" -c "CREATE DATABASE $database" || die "no test database"
    (($# == 0)) || filter=(-R "$(IFS='|' && echo "$*")")
    TEST_DATABASE_URL=$TEST_DATABASE_BASE/$database MCPBUS_BIN=$dir/bin \
        check "ctest in ${dir#"$ROOT"/}" ctest --test-dir "$dir" --output-on-failure -j 2 \
        --no-tests=ignore "${filter[@]}" || true
}

# run_simulation FIRST-SEED: a failing one is named and can be replayed.
run_simulation() {
    "$ROOT/build/tests/mcpbus-sim" --first "$1" --seeds 10000
}

# Each fuzz target for a few seconds, from its corpus; two at a time.
run_fuzz() {
    local target
    local -A running=()
    check "fuzz build" build_only fuzz || return 0
    say "test: fuzzing, $FUZZ_SECONDS s for each parser"
    for target in "$ROOT"/build/fuzz/fuzz/fuzz_*; do
        [[ -x $target && -f $target ]] || continue
        fuzz_one "$target" "$TEST_DIR/corpus-$(basename "$target")" &
        running[$!]=$(basename "$target")
        ((${#running[@]} < 2)) || fuzz_wait
    done
    fuzz_wait
}

fuzz_wait() {
    local each
    for each in "${!running[@]}"; do
        wait "$each" || TEST_FAILURES+=("${running[$each]}")
    done
    running=()
}

fuzz_one() {
    local seeds dict=() name
    name=$(basename "$1")
    mkdir -p "$2"
    seeds=$ROOT/tests/fuzz/corpus/${name#fuzz_}
    [[ -f $ROOT/tests/fuzz/${name#fuzz_}.dict ]] &&
        dict=("-dict=$ROOT/tests/fuzz/${name#fuzz_}.dict")
    [[ -d $seeds ]] || seeds=$2
    if ! "$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=1024 "${dict[@]}" \
        -artifact_prefix="$ROOT/build/fuzz/$name-" "$2" "$seeds" >"$2.log" 2>&1; then
        tail -n 40 "$2.log" >&2
        return 1
    fi
}

# run_pytest PROGRAMS NAME…: two files at a time, for they mostly wait; with names one after another.
run_pytest() {
    local bin=$1 filter=(-n 2 --dist loadfile)
    shift
    (($# == 0)) || filter=(-k "$(printf '%s or ' "$@" | sed 's/ or $//')")
    MCPBUS_BIN=$bin MCPBUS_SOAK=$TEST_SOAK check "integration, ${bin#"$ROOT"/}" pytest_in_root \
        "${filter[@]}" || true
}

# Its oracle, on made-up logs, then a minute of faults under load.
run_chaos_test() {
    (($# == 0)) || [[ " $* " == *" chaos "* ]] || return 0
    check "the oracle of chaos" pytest_oracle || true
    check "chaos, 60 s" run_chaos "$ROOT/build/bin" --minutes 1 || true
}

pytest_oracle() {
    cd "$ROOT/tests/chaos" || return 1
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider -q .
}

# Exit status 5 is "no test has that name": then it was one of ctest's.
pytest_in_root() {
    local status=0
    cd "$ROOT" || return 1
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider -v \
        --durations=20 --tb=short --continue-on-collection-errors tests/integration tests/model \
        "$@" || status=$?
    ((status == 5 && $# > 0)) || return "$status"
}

sanitizer_options() {
    mkdir -p "$TEST_DIR/reports"
    chmod 1777 "$TEST_DIR/reports"
    export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:log_path=$TEST_DIR/reports/asan"
    export UBSAN_OPTIONS="print_stacktrace=1:log_path=$TEST_DIR/reports/ubsan"
    export LSAN_OPTIONS="suppressions=$ROOT/tests/lsan.supp:print_suppressions=0"
}

sanitizer_reports() {
    local report
    for report in "$TEST_DIR"/reports/*; do
        [[ -s $report ]] || continue
        head -n 40 "$report" >&2
        TEST_FAILURES+=("sanitizer report $(basename "$report")")
    done
}

# The closing line is the last one.
test_verdict() {
    local seconds=$((SECONDS - TEST_BEGIN))
    trap - EXIT
    test_cleanup
    if ((${#TEST_FAILURES[@]})); then
        printf '%s' "$TEST_DIGEST"
        echo "${RED}FAILED${PLAIN} in $seconds s: $(printf '%s; ' "${TEST_FAILURES[@]}")"
        exit 1
    fi
    echo "${GREEN}all tests passed${PLAIN} in $seconds s"
}
