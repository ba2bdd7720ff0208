# shellcheck shell=bash
# ./dev status, logs

cmd_status() {
    local name bad=0 line
    find_run_dir_only
    supervisor_alive && read_env || {
        echo "nothing is up in $RUN"
        exit 1
    }
    printf '%-14s %8s %12s  %s\n' PROCESS PID UPTIME HEALTH
    for name in $(instances); do
        line=$(status_line "$name") || bad=1
        echo "$line"
    done
    echo "gateway $GATEWAY_URL  dashboard $MONITOR_URL  sandbox $SANDBOX_URL"
    exit "$bad"
}

status_line() {
    local pid up health=up bad=0
    pid=$(cat "$RUN/pids/$1.pid" 2>/dev/null || echo 0)
    up=$(ps -o etime= -p "$pid" 2>/dev/null | tr -d ' ')
    if [[ -z $up ]]; then
        pid=- up=- health=down bad=1
    elif ! probe "$1"; then
        health="does not answer" bad=1
    fi
    printf '%-14s %8s %12s  %s\n' "$1" "$pid" "$up" "$health"
    return "$bad"
}

# probe NAME-N: asks those that can be asked from here.
probe() {
    case $1 in
    postgres-*) pg_ready "$POSTGRES_PORT" ;;
    gateway-*) curl -fsS -o /dev/null -m 5 "$GATEWAY_URL/health" 2>/dev/null ;;
    monitor-*) curl -fsS -o /dev/null -m 5 "$MONITOR_URL/healthcheck" 2>/dev/null ;;
    sandbox-*) curl -sS -o /dev/null -m 5 "$SANDBOX_URL/" 2>/dev/null ;;
    esac
}

cmd_logs() {
    local follow=() service='' logs
    while (($#)); do
        case $1 in
        -f | --follow) follow=(-F) ;;
        *) service=$1 ;;
        esac
        shift
    done
    find_run_dir_only
    mapfile -t logs < <(compgen -G "$RUN/logs/${service:-*}*.log" | sort -V)
    ((${#logs[@]})) || die "there are no logs of \"${service:-any service}\" in $RUN/logs"
    exec tail -n 100 "${follow[@]}" "${logs[@]}"
}
