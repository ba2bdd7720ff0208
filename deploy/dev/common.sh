# shellcheck shell=bash
# Messages, settings and small tools of ./dev. Sourced by ./dev, which sets ROOT.

# NO_COLOR, TERM=dumb: none there either; CLICOLOR_FORCE: everywhere.
if [[ -z ${NO_COLOR:-} && ( ${CLICOLOR_FORCE:-0} != 0 || ( -t 2 && ${TERM:-dumb} != dumb ) ) ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' YELLOW='' CYAN='' PLAIN=''
fi

# Progress goes to stderr: stdout is for what a command is asked for.
say() {
    print_line "$CYAN==>$PLAIN $*"
}

warn() {
    print_line "${YELLOW}warning:$PLAIN $*"
}

die() {
    progress_stop
    print_line "${RED}error:$PLAIN $*"
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

random_hex() {
    od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'
}

# quoted TEXT: for a shell; as it is where nothing needs quoting.
quoted() {
    if [[ $1 =~ ^[A-Za-z0-9_./:@%+=,?-]+$ ]]; then
        printf '%s' "$1"
    else
        printf "'%s'" "${1//\'/\'\\\'\'}"
    fi
}

# is_set NAME: set, and not to nothing.
is_set() {
    [[ -n ${!1:-} ]]
}

# default NAME VALUE: gives a variable that is unset or empty its value, for the services too.
default() {
    is_set "$1" || printf -v "$1" '%s' "$2"
    export "${1?}"
}

# Reads NAME=VALUE lines of the .env file as libcommon/settings.c does: the last line of a name
# counts, and what the environment has and isn't empty wins. Our own variables are out of its reach.
load_env_file() {
    local line name
    local -A values=()
    ENV_FILE=${MCPBUS_ENV_FILE:-$ROOT/.env}
    [[ -f $ENV_FILE ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        trim "$line"
        [[ $REPLY != "export "* ]] || trim "${REPLY#export }"
        [[ $REPLY =~ ^([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=(.*)$ ]] || continue
        name=${BASH_REMATCH[1]}
        env_value "${BASH_REMATCH[2]}"
        values[$name]=$REPLY
    done <"$ENV_FILE"
    for name in "${!values[@]}"; do
        [[ -n ${values[$name]} ]] && settable "$name" && export "$name=${values[$name]}"
    done
    return 0
}

# settable NAME: unset, or exported and empty.
settable() {
    local how
    how=$(declare -p "$1" 2>/dev/null) || return 0
    [[ $how == "declare -x $1" || $how == "declare -x $1=\"\"" ]]
}

# trim TEXT: to REPLY.
trim() {
    REPLY=${1#"${1%%[![:space:]]*}"}
    REPLY=${REPLY%"${REPLY##*[![:space:]]}"}
}

# The value of a .env line, to REPLY: without its quotes, in double quotes with \n, \" and \\, else
# without a comment.
env_value() {
    local value quote i char
    trim "$1"
    value=$REPLY
    quote=${value:0:1}
    if [[ $quote != [\"\'] ]]; then
        trim "${value%%" #"*}"
        return
    fi
    REPLY=
    for ((i = 1; i < ${#value}; i++)); do
        char=${value:i:1}
        [[ $char != "$quote" ]] || break
        if [[ $quote == '"' && $char == \\ ]] && ((i + 1 < ${#value})); then
            i=$((i + 1))
            char=${value:i:1}
            [[ $char != n ]] || char=$'\n'
        fi
        REPLY+=$char
    done
}

# The run folder of this stack, absolute.
find_run_dir() {
    RUN=$(realpath -m -- "${MCPBUS_RUN_DIR:-$ROOT/.run}")
    export MCPBUS_RUN_DIR=$RUN
}

# The ports on which something listens, one a line, from the kernel's tables.
listening_ports() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk '$4 == "0A" { n = split($2, a, ":"); print a[n] }' |
        while read -r hex; do echo $((16#$hex)); done
}

# port_taken PORT; grep reads to the end, or what writes a long list would be said to have failed
port_taken() {
    listening_ports | grep -x "$1" >/dev/null
}

# port_owner PORT: " by NAME (pid N)", if it can be told.
port_owner() {
    local found
    have ss || return 0
    found=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -nE 's/.*\(\("([^"]+)",pid=([0-9]+).*/ by \1 (pid \2)/p')
    printf '%s' "${found%%$'\n'*}"
}

# refuse_port VARIABLE PORT
refuse_port() {
    die "port $2 ($1) is taken$(port_owner "$2"); set $1 to another one, or to 0 for a free one"
}

# free_ports COUNT: the first of COUNT free ports in a row. Below ip_local_port_range, where an
# outgoing connection can't take it between this look and the bind.
free_ports() {
    local count=$1 tries first port taken
    taken=$(listening_ports)
    for ((tries = 0; tries < 1000; tries++)); do
        first=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
        for ((port = first; port < first + count; port++)); do
            grep -qx "$port" <<<"$taken" && continue 2
        done
        echo "$first"
        return 0
    done
    die "found no $count free ports between 10000 and 32000"
}

# check_port VARIABLE: a number from 0 to 65535.
check_port() {
    [[ ${!1} =~ ^[0-9]{1,5}$ ]] && ((10#${!1} <= 65535)) ||
        die "$1 takes a port number from 0 to 65535, not \"${!1}\""
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}
