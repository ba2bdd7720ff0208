# shellcheck shell=bash
# One line of ./dev that moves while something takes its time: on a terminal alone.

PROGRESS_PID=''

# progress_start TEXT [LOG]: shows TEXT, the seconds since, and the last "[N/M]" of a build's LOG.
progress_start() {
    progress_stop
    [[ -t 2 && ${TERM:-dumb} != dumb ]] || return 0
    progress_line "$@" </dev/null 9>&- &
    PROGRESS_PID=$!
}

progress_stop() {
    [[ -n $PROGRESS_PID ]] || return 0
    kill "$PROGRESS_PID" 2>/dev/null || true
    wait "$PROGRESS_PID" 2>/dev/null || true
    PROGRESS_PID=''
    printf '\r\e[K' >&2
}

# In a process of its own, that ends with ./dev however that ends.
progress_line() {
    local text=$1 log=${2:-} began=${EPOCHREALTIME//[.,]/} signs='|/\-' done='' width now line
    local -i frame=0
    trap - ERR
    trap 'exit 0' TERM
    [[ ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} != *[Uu][Tt][Ff]* ]] || signs=⠋⠙⠹⠸⠼⠴⠦⠧
    while kill -0 $$ 2>/dev/null; do
        ((frame % 10)) || width=$(terminal_width)
        [[ -z $log ]] || ((frame % 5)) ||
            done=$(tail -n 1 -- "$log" 2>/dev/null | grep -oE '^\[[0-9]+/[0-9]+\]') || done=''
        now=${EPOCHREALTIME//[.,]/}
        printf -v line '%s %d.%d s  %s %s' "${signs:frame % ${#signs}:1}" \
            $(((now - began) / 1000000)) $(((now - began) / 100000 % 10)) "$text" "$done"
        printf '\r%s\e[K' "${line:0:width - 1}" >&2
        frame=$((frame + 1))
        sleep 0.1
    done
    printf '\r\e[K' >&2
}

# terminal_width: the columns of stderr; 80 where they can't be told.
terminal_width() {
    local size
    size=$(stty size <&2 2>/dev/null) || size=''
    [[ $size =~ \ ([1-9][0-9]{0,3})$ ]] && echo "${BASH_REMATCH[1]}" || echo 80
}

# print_line TEXT…: on stderr, above the line that moves.
print_line() {
    local clear=''
    [[ -z $PROGRESS_PID ]] || clear=$'\r\e[K'
    printf '%s%s\n' "$clear" "$*" >&2
}
