# shellcheck shell=bash
# ./dev up, down

# In the order of their start.
SERVICES=(sandbox broker auth jobs worker gateway monitor)
declare -A SCALE=([sandbox]=1 [broker]=1 [auth]=1 [jobs]=1 [worker]=1 [gateway]=1 [monitor]=1)
declare -A SCALE_WANTED=()
PRIVATE_POSTGRES=0

cmd_up() {
    local detach=0
    while (($#)); do
        case $1 in
        -d | --detach) detach=1 ;;
        --scale) parse_scale "${2:-}" && shift ;;
        --scale=*) parse_scale "${1#*=}" ;;
        *) die "up takes [-d] [--scale SERVICE=N]…, not \"$1\"" ;;
        esac
        shift
    done
    bring_up "$detach"
    ((detach)) || follow_until_interrupted
}

parse_scale() {
    [[ $1 =~ ^([a-z]+)=([0-9]{1,3})$ ]] || die "--scale takes SERVICE=N, not \"$1\""
    local service=${BASH_REMATCH[1]} n=$((10#${BASH_REMATCH[2]}))
    case $service in
    gateway | broker | auth | jobs | worker | monitor) ;;
    *) die "--scale knows gateway, broker, auth, jobs, worker and monitor, not \"$service\"" ;;
    esac
    ((n >= 1 && n <= 64)) || die "--scale $service takes 1 to 64"
    SCALE_WANTED[$service]=$n
}

# bring_up DETACHED: the whole stack, until /health is 200. Rescales one that is up.
bring_up() {
    load_env_file
    find_run_dir
    check_ports
    find_programs
    lock_run_dir 0
    if supervisor_alive; then
        ((${#SCALE_WANTED[@]} || $1)) || die "the stack in $RUN is already up (./dev logs -f)"
        read_env || die "$RUN has no settings; try ./dev down first"
        grep -q '^export BUS_SECURITY=' "$RUN/secrets/stack.env" ||
            die "the stack in $RUN is of a version without keys for the bus; ./dev down, then up"
        rescale
    else
        sweep_processes
        # Half a stack would be taken for one that is up.
        trap 'trap - INT TERM; progress_stop; warn "interrupted; what had started is stopped"; stop_stack; exit 130' INT TERM
        fresh_stack
    fi
    wait_healthy
    trap - INT TERM
    progress_stop
    unlock_run_dir
    say "${GREEN}up${PLAIN}: $GATEWAY_URL (docs: $GATEWAY_URL/docs), run folder $RUN"
    say "chat page: $PUBLIC_URL/app"
    say "dashboard: $MONITOR_URL (its token: . ${RUN#"$PWD"/}/env; echo \$MONITOR_TOKEN)"
}

# lock_run_dir SECONDS: how long another ./dev may take. Only a folder that was new or empty becomes
# a run folder: --purge deletes in what bears the mark. (Another ./dev makes the mark first of all,
# so the look for it comes last.)
lock_run_dir() {
    local other
    mkdir -p "$RUN" || die "the run folder $RUN can't be made; MCPBUS_RUN_DIR names another place"
    other=$(find "$RUN/" -mindepth 1 -maxdepth 1 -print -quit) || die "$RUN can't be read"
    if [[ -n $other && ! -f $RUN/.mcpbus ]]; then
        die "$RUN holds other things and is no run folder of mcpbus; set MCPBUS_RUN_DIR to an" \
            "empty or a new one"
    fi
    { touch "$RUN/.mcpbus" && chmod 711 "$RUN" && : >>"$RUN/lock"; } ||
        die "the run folder $RUN can't be written; MCPBUS_RUN_DIR names another place"
    exec 9>"$RUN/lock"
    flock -w "$1" 9 || die "another ./dev is starting or stopping the stack in $RUN"
}

unlock_run_dir() {
    exec 9>&-
}

# A full disk is told here once, and not by whatever fails first.
check_room() {
    head -c 1048576 /dev/zero >"$RUN/lock.room" || {
        rm -f "$RUN/lock.room"
        die "the run folder $RUN has no room left; make some, or MCPBUS_RUN_DIR names another place"
    }
    rm -f "$RUN/lock.room"
}

fresh_stack() {
    local service
    for service in "${!SCALE_WANTED[@]}"; do
        SCALE[$service]=${SCALE_WANTED[$service]}
    done
    check_programs
    check_room
    choose_ports
    make_secrets
    set_database_url
    use_sandbox
    set_broker_endpoint
    rm -rf "$RUN/sv" "$RUN/pids"
    mkdir -p "$RUN/sv" "$RUN/pids" "$RUN/logs"
    make_keys
    write_env
    write_caller_env
    write_instances
    if ((PRIVATE_POSTGRES)); then
        pg_make "$RUN/pg" "$(<"$RUN/secrets/POSTGRES_PASSWORD")"
        write_instance postgres 1 "$(postgres_lines)"
    fi
    start_supervisor
    start_all
}

check_programs() {
    local service
    for service in "${SERVICES[@]}"; do
        [[ -x $BIN/mcpbus-$service ]] || die "there is no program $BIN/mcpbus-$service"
    done
}

start_all() {
    local service name
    say "starting the stack in $RUN"
    progress_start "PostgreSQL, its tables, ${SERVICES[*]}"
    if ((PRIVATE_POSTGRES)); then
        start_instance postgres-1
        wait_for 60 pg_ready "$POSTGRES_PORT" || fail_start "PostgreSQL does not answer"
    fi
    migrate || fail_start "the database could not be brought up to date" "$RUN/logs/migrate.log"
    for service in "${SERVICES[@]}"; do
        for name in $(instances "$service"); do
            start_instance "$name"
        done
    done
}

migrate() {
    (
        # shellcheck source=/dev/null
        source "$RUN/secrets/stack.env"
        cd "$RUN" && exec "$BIN/mcpbus" migrate
    ) >"$RUN/logs/migrate.log" 2>&1 </dev/null 9>&-
}

# Services that end again and again have said why in their log.
wait_healthy() {
    local end=$((SECONDS + 60)) restarts
    until answers "$GATEWAY_URL/health" && answers "$MONITOR_URL/healthcheck"; do
        restarts=$({ cat "$RUN"/sv/*/exits 2>/dev/null || true; } | wc -l)
        ((restarts < 20)) || fail_start "these end again and again: $(restless)"
        ((SECONDS < end)) || fail_start "no healthy answer from $GATEWAY_URL or $MONITOR_URL in 60 s"
        sleep 0.1
    done
    rm -f "$RUN"/sv/*/exits
}

# answers URL: with a good status.
answers() {
    curl -fsS -o /dev/null -m 2 "$1" 2>/dev/null
}

# Which have ended since the start, and how the last time.
restless() {
    local file status signal how
    for file in "$RUN"/sv/*/exits; do
        [[ -s $file ]] || continue
        read -r status signal < <(tail -n 1 "$file")
        ((status >= 0)) && how="status $status" || how="signal $signal"
        printf '%s (%s) ' "$(basename "$(dirname "$file")")" "$how"
    done
}

# fail_start TEXT [LOG…]: with the last words of these logs, or of all that were written to since the start.
fail_start() {
    local log text=$1
    shift
    (($#)) || set -- "$RUN"/logs/*.log
    progress_stop
    for log in "$@"; do
        if [[ -s $log && $log != */keygen.log && ! $log -ot $RUN/supervisor.pid ]]; then
            last_words "$log" >&2
        fi
    done
    stop_stack
    die "$text; the logs are in $RUN/logs, and docs/troubleshooting.md says what such lines mean"
}

# last_words LOG: its last lines, each said once however often it was written, behind its name.
last_words() {
    tail -n 60 -- "$1" | awk '{ text = $0; sub(/^[0-9T:.-]+Z /, "", text) } !seen[text]++' | tail -n 4 |
        sed "s/^/$(basename "$1" .log)  /"
}

follow_until_interrupted() {
    trap 'trap - INT TERM; echo >&2; cmd_down; exit 0' INT TERM
    say "Ctrl-C stops the stack"
    tail --pid="$(<"$RUN/supervisor.pid")" -n 0 -F "$RUN"/logs/*.log 2>/dev/null &
    wait $! || true
}

cmd_down() {
    local purge=0
    case ${1:-} in
    '') ;;
    --purge) purge=1 ;;
    *) die "down takes --purge or nothing" ;;
    esac
    find_run_dir_only
    if [[ ! -e $RUN/.mcpbus ]]; then
        say "nothing is up in $RUN"
        return 0
    fi
    lock_run_dir 60
    stop_stack
    if ((purge)); then
        purge_run_dir
    else
        say "stopped; the data is kept in $RUN"
    fi
    unlock_run_dir
}

# MCPBUS_RUN_DIR may come from the .env file.
find_run_dir_only() {
    load_env_file
    find_run_dir
}

# In the order of dependence, so that each can drain: gateways first, PostgreSQL last.
stop_stack() {
    local pid=0 family service names
    mapfile -t family < <(stack_processes)
    mapfile -t family < <(tree "${family[@]}")
    mapfile -t family < <(stamps "${family[@]}")
    # Without runsvdir first, which would start each supervision anew.
    if supervisor_alive; then
        pid=$(<"$RUN/supervisor.pid")
        kill -TERM "$pid"
        wait_for 5 none_alive "$(stamps "$pid")" || true
    fi
    for service in gateway monitor worker "jobs auth" "broker sandbox" postgres; do
        mapfile -t names < <(for s in $service; do instances "$s"; done)
        stop_instances force-shutdown "${names[@]}"
    done
    sweep_processes "${family[@]}"
    rm -rf "$RUN/supervisor.pid" "$RUN/sv" "$RUN/pids"
}

# Only names of our own go, the mark last; what else lies there is not ours to delete.
purge_run_dir() {
    local data name
    if [[ -L $RUN/pg ]]; then
        data=$(readlink "$RUN/pg")
        [[ $data == /var/lib/mcpbus/pg-* ]] && rm -rf -- "$data" "$data".{new,new.log,new.password}
    fi
    for name in env env.new logs pids pg pg.new pg.new.log pg.new.password keys secrets sv \
        supervisor.pid lock.room lock .mcpbus; do
        rm -rf -- "${RUN:?}/$name"
    done
    if rmdir -- "$RUN" 2>/dev/null; then
        say "stopped; $RUN is deleted"
    else
        warn "stopped, and the data is deleted; $RUN stays, for it holds files of others"
    fi
}
