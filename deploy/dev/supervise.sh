# shellcheck shell=bash
# Supervision by runit: $RUN/sv/NAME-N/ is one process.

# What the supervision has of the caller's environment.
readonly SUPERVISOR_VARIABLES=(PATH HOME LANG TMPDIR)

# Of each process' log: bytes of a file, and how many older ones are kept.
readonly LOG_SIZE=${MCPBUS_LOG_BYTES:-10485760} LOG_FILES=5

# Everything that a stack starts carries this in its environ; the user's shell never does.
stack_mark() {
    printf 'MCPBUS_STACK=%s' "$RUN"
}

# The pids of all processes of this stack, zombies aside.
stack_processes() {
    {
        grep -lzxF "$(stack_mark)" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
        [[ -e $RUN/pg ]] && pg_processes "$RUN/pg"
    } | sort -un
}

# tree PID…: the pids and all their descendants.
tree() {
    ps -e -o pid=,ppid= | awk -v roots="$*" '
        { parent[$1] = $2 }
        END {
            n = split(roots, r, " ")
            for (i = 1; i <= n; i++) want[r[i]] = 1
            for (pid in parent) {
                p = pid
                while (p > 1 && !(p in want)) p = parent[p]
                if (p in want) print pid
            }
        }'
}

supervisor_alive() {
    local pid
    pid=$(cat "$RUN/supervisor.pid" 2>/dev/null) || return 1
    [[ -n $pid ]] && grep -qzxF "$(stack_mark)" "/proc/$pid/environ" 2>/dev/null
}

# Names of the supervised processes (gateway-1 …), those of one service, or all.
instances() {
    local path
    compgen -G "$RUN/sv/${1:-*}-[0-9]*" | while read -r path; do
        basename "$path"
    done | sort -V
}

# write_log NAME-N FOLDER: what it says goes through a pipe to svlogd, which keeps logs/NAME-N.log below
# a size and a few older ones beside it in logs/NAME-N. No line is lost at a rotation, nor when the
# process is killed. The settings are those of logs/NAME-N/config (svlogd(8)).
write_log() {
    local logs=$RUN/logs/$1
    mkdir -p "$logs" "$2/log"
    # What a version before left there.
    [[ -f $logs.log && ! -L $logs.log ]] && mv "$logs.log" "$logs/current"
    ln -sfn "$1/current" "$logs.log"
    touch "$logs/current"
    printf 's%d\nn%d\n' "$LOG_SIZE" "$LOG_FILES" >"$logs/config"
    printf '#!/bin/bash\nexec svlogd -b 65536 -l 16384 %q\n' "$logs" >"$2/log/run"
    chmod +x "$2/log/run"
}

# write_instance NAME N COMMAND-LINES: a folder of runit's, at first down.
write_instance() {
    local name=$1-$2 dir=$RUN/sv/.$1-$2
    rm -rf "$dir"
    mkdir -p "$dir"
    touch "$dir/down"
    write_log "$name" "$dir"
    {
        echo '#!/bin/bash'
        echo 'exec 2>&1 </dev/null'
        printf 'pid=%q\n' "$RUN/pids/$name.pid"
        # shellcheck disable=SC2016
        echo 'echo $$ >"$pid.new" && mv "$pid.new" "$pid"'
        printf '%s\n' "$3"
    } >"$dir/run"
    printf '#!/bin/bash\necho "$1 $2" >>exits\n' >"$dir/finish"
    chmod +x "$dir/run" "$dir/finish"
    # PostgreSQL: SIGINT ends its clients' sessions and stops cleanly.
    if [[ $1 == postgres ]]; then
        mkdir "$dir/control"
        printf '#!/bin/bash\nkill -INT "$(cat supervise/pid)"\n' >"$dir/control/t"
        chmod +x "$dir/control/t"
    fi
    mv -T "$dir" "$RUN/sv/$name"
}

# service_lines SERVICE N: how a service of ours is started. Who needs no secret gets none.
service_lines() {
    printf 'source %q\n' "$RUN/secrets/caller.env" "$RUN/secrets/stack.env"
    case $1 in
    worker | broker | sandbox | monitor) echo 'unset {JWT_SECRET,TOKEN_ENCRYPTION_KEY}{,_PREVIOUS} DATABASE_URL' ;;
    esac
    [[ $1 == monitor ]] || echo 'unset MONITOR_TOKEN{,_PREVIOUS}'
    [[ $1 == broker ]] && echo "export BROKER_PORT=$((BROKER_PORT + $2 - 1))"
    # "gateway-1=9101 jobs-1=9102 …": where Prometheus finds each.
    [[ " ${MCPBUS_HEALTH_PORTS:-} " =~ \ $1-$2=([0-9]+)\  ]] &&
        echo "export HEALTH_PORT=${BASH_REMATCH[1]}"
    printf 'export MCPBUS_BIN=%q PATH=%q:"$PATH"\n' "$BIN" "$BIN"
    printf 'cd %q\n' "$RUN"
    printf 'exec %q' "$BIN/mcpbus-$1"
    [[ -f $ENV_FILE && $1 != broker && $1 != sandbox ]] && printf ' --env-file %q' "$ENV_FILE"
    echo
}

postgres_lines() {
    local command
    mapfile -d '' -t command < <(pg_command "$RUN/pg" "$POSTGRES_PORT")
    printf 'source %q\n' "$ROOT/deploy/dev/postgres.sh"
    printf 'pg_sweep %q\ncd %q\n' "$RUN/pg" "$(realpath "$RUN/pg")"
    printf 'exec'
    printf ' %q' "${command[@]}"
    echo
}

write_instances() {
    local service n
    for service in "${SERVICES[@]}"; do
        for n in $(seq "${SCALE[$service]}"); do
            [[ -d $RUN/sv/$service-$n ]] ||
                write_instance "$service" "$n" "$(service_lines "$service" "$n")"
        done
    done
}

start_supervisor() {
    local name clean=("MCPBUS_STACK=$RUN")
    for name in "${SUPERVISOR_VARIABLES[@]}"; do
        is_set "$name" && clean+=("$name=${!name}")
    done
    rm -f "$RUN/supervisor.pid"
    # shellcheck disable=SC2016
    env -i "${clean[@]}" setsid bash -c 'echo $$ >"$1/supervisor.pid" && exec runsvdir -P "$1/sv"' \
        supervisor "$RUN" >>"$RUN/logs/supervisor.log" 2>&1 </dev/null 9>&- &
    disown
    wait_for 5 supervisor_alive || die "the supervisor (runsvdir) did not start"
}

# is_supervised NAME-N: its runsv answers.
is_supervised() {
    sv status "$RUN/sv/$1" 2>/dev/null | grep -Eq '^(run|down|finish):'
}

# start_instance NAME-N
start_instance() {
    # runsvdir looks for new folders every five seconds.
    wait_for 10 is_supervised "$1" || die "$1 is not supervised; see $RUN/logs/supervisor.log"
    rm -f "$RUN/sv/$1/down"
    sv up "$RUN/sv/$1" >/dev/null
}

# stop_instances SIGNAL-COMMAND NAME-N…: force-stop keeps the supervision, force-shutdown ends it.
stop_instances() {
    local action=$1 name paths=()
    shift
    for name in "$@"; do
        [[ -e $RUN/sv/$name/supervise/ok ]] && paths+=("$RUN/sv/$name")
    done
    ((${#paths[@]})) || return 0
    sv -w 10 "$action" "${paths[@]}" >/dev/null 2>&1 || true
}

# stamps PID…: "PID:START" of each that runs (a zombie doesn't), so that a pid used anew is not
# mistaken for its former owner.
stamps() {
    local pid line fields
    for pid in "$@"; do
        line=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
        read -ra fields <<<"${line##*) }"
        ((${#fields[@]} > 19)) || continue
        [[ ${fields[0]} == [ZX] ]] || echo "$pid:${fields[19]}"
    done
}

# alive STAMP…: the pids of those that still run.
alive() {
    local stamp
    for stamp in "$@"; do
        [[ $(stamps "${stamp%:*}") != "$stamp" ]] || echo "${stamp%:*}"
    done
}

none_alive() {
    [[ -z $(alive "$@") ]]
}

# sweep_processes STAMP…: what is left after an orderly stop, of these and of the whole stack: TERM,
# then KILL after ten seconds.
sweep_processes() {
    local pids rest
    mapfile -t pids < <(stack_processes)
    mapfile -t rest < <(stamps "${pids[@]}")
    rest+=("$@")
    none_alive "${rest[@]}" && return 0
    alive "${rest[@]}" | xargs -r kill -TERM 2>/dev/null || true
    wait_for 10 none_alive "${rest[@]}" && return 0
    alive "${rest[@]}" | xargs -r kill -KILL 2>/dev/null || true
    wait_for 5 none_alive "${rest[@]}" || die "these processes don't end: $(alive "${rest[@]}")"
}
