# shellcheck shell=bash
# ./dev status, logs

if [[ -t 1 && -n $PLAIN ]]; then
    OUT_BOLD=$BOLD OUT_RED=$RED OUT_GREEN=$GREEN OUT_PLAIN=$PLAIN
else
    OUT_BOLD='' OUT_RED='' OUT_GREEN='' OUT_PLAIN=''
fi

cmd_status() {
    local name bad=0 line
    (($# == 0)) || die "status takes nothing, not \"$1\""
    find_run_dir_only
    supervisor_alive && read_env || {
        echo "nothing is up in $RUN; ./dev up -d starts it"
        exit 1
    }
    printf '%s%-14s %8s %12s  %s%s\n' "$OUT_BOLD" PROCESS PID UPTIME HEALTH "$OUT_PLAIN"
    for name in $(instances); do
        line=$(status_line "$name") || bad=1
        echo "$line"
    done
    echo
    printf '%-10s %s\n' gateway "$GATEWAY_URL" "chat page" "$PUBLIC_URL/app" dashboard "$MONITOR_URL" \
        sandbox "$SANDBOX_URL"
    ((!bad)) || echo "some are not well: ./dev logs NAME says why"
    exit "$bad"
}

status_line() {
    local pid up state health=up bad=0 colour
    pid=$(cat "$RUN/pids/$1.pid" 2>/dev/null || echo 0)
    read -r up state < <(ps -o etime=,state= -p "$pid" 2>/dev/null) || up=''
    if [[ -z $up ]]; then
        pid=- up=- health=down bad=1
    elif [[ $state == [Tt] ]]; then
        health="stopped by a signal or a debugger; kill -CONT $pid lets it go on" bad=1
    elif ! probe "$1"; then
        health=$(why_not "$1") bad=1
    fi
    ((bad)) && colour=$OUT_RED || colour=$OUT_GREEN
    printf '%-14s %8s %12s  %s%s%s\n' "$1" "$pid" "$up" "$colour" "$health" "$OUT_PLAIN"
    return "$bad"
}

# why_not NAME-N: what it says of itself, if it answers at all.
why_not() {
    local said=''
    if [[ $1 == gateway-* ]]; then
        said=$(curl -sS -m 5 "$GATEWAY_URL/health" 2>/dev/null | jq -r '.detail // ""' 2>/dev/null) || said=''
    fi
    echo "${said:-does not answer}"
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
    ((${#logs[@]})) ||
        die "there are no logs${service:+ of \"$service\"} in $RUN/logs; ./dev status shows what runs"
    exec tail -n 100 "${follow[@]}" "${logs[@]}"
}
