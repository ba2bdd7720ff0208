# shellcheck shell=bash
# Messages, settings and small tools of ./dev. Sourced by ./dev, which sets ROOT.

if [[ -t 2 ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' YELLOW='' CYAN='' PLAIN=''
fi

# Progress goes to stderr: stdout is for what a command is asked for.
say() {
    printf '%s==>%s %s\n' "$CYAN" "$PLAIN" "$*" >&2
}

warn() {
    printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2
}

die() {
    printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
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

# Reads NAME=VALUE lines of the .env file; what the environment already has wins.
load_env_file() {
    local line name value
    ENV_FILE=${MCPBUS_ENV_FILE:-$ROOT/.env}
    [[ -f $ENV_FILE ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
        name=${BASH_REMATCH[2]}
        value=$(env_value "${BASH_REMATCH[3]}")
        [[ -z $value || -v $name ]] || export "$name=$value"
    done <"$ENV_FILE"
}

# The value of a .env line: quotes taken off, or a comment behind a blank.
env_value() {
    local value=$1
    if [[ $value =~ ^[[:space:]]*\"([^\"]*)\" || $value =~ ^[[:space:]]*\'([^\']*)\' ]]; then
        value=${BASH_REMATCH[1]}
    else
        value=${value%%[[:space:]]#*}
        value=${value#"${value%%[![:space:]]*}"}
        value=${value%"${value##*[![:space:]]}"}
    fi
    printf '%s' "$value"
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

# port_taken PORT
port_taken() {
    listening_ports | grep -qx "$1"
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
