# shellcheck shell=bash
# A private PostgreSQL 15: one folder, one port, never as root.

readonly PG_BIN=/usr/lib/postgresql/15/bin

# as_postgres COMMAND…: PostgreSQL refuses root, so root becomes user postgres.
as_postgres() {
    if ((EUID == 0)); then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}

# pg_make DIR PASSWORD: makes the cluster and its empty database "mcpbus", once. Half-made is not
# made: the folder gets its name last.
pg_make() {
    local dir=$1 password=$2 new
    [[ -f $(realpath -m "$dir")/PG_VERSION ]] && return 0
    pg_place "$dir"
    new=$(realpath -m "$dir").new
    rm -rf "$new" "$new.password"
    mkdir -m 700 "$new"
    (umask 077 && echo "$password" >"$new.password")
    ((EUID != 0)) || chown postgres: "$new" "$new.password"
    (
        cd "$new" &&
            as_postgres "$PG_BIN/initdb" -D "$new" -U mcpbus -A scram-sha-256 -E UTF8 \
                --locale=C.UTF-8 --pwfile="$new.password" &&
            echo 'CREATE DATABASE mcpbus;' |
            as_postgres "$PG_BIN/postgres" --single -D "$new" postgres
    ) >"$new.log" 2>&1 || refuse_initdb "$new.log"
    rm -f "$new.log" "$new.password"
    mv -T "$new" "$(realpath -m "$dir")"
}

# refuse_initdb LOG
refuse_initdb() {
    if grep -q 'invalid locale name' "$1"; then
        die "PostgreSQL's folder can't be made without the locale C.UTF-8: apt-get install libc-bin" \
            "has it (locale -a lists what is there)"
    elif grep -q 'No space left on device' "$1"; then
        die "PostgreSQL's folder can't be made: the disk is full; MCPBUS_RUN_DIR names another place"
    fi
    die "initdb failed:" "$(tail -n 5 "$1")"
}

# Where user postgres can't pass (a run folder under /root), the data lies elsewhere, behind a link.
pg_place() {
    local dir=$1 other
    mkdir -p "$(dirname "$dir")"
    if ((EUID != 0)) || as_postgres test -x "$(dirname "$dir")"; then
        return 0
    fi
    other=/var/lib/mcpbus/pg-$(sha256sum <<<"$dir" | cut -c1-16)
    mkdir -p /var/lib/mcpbus
    chmod 711 /var/lib/mcpbus
    ln -sfn "$other" "$dir"
}

# pg_command DIR PORT: prints the server's command line, NUL-separated. A socket's path has 107
# bytes at the most; TCP is enough where that is too little.
pg_command() {
    local dir socket
    dir=$(realpath "$1")
    socket=$dir
    ((${#dir} + 16 <= 107)) || socket=''
    ((EUID == 0)) &&
        printf '%s\0' setpriv --reuid=postgres --regid=postgres --clear-groups
    printf '%s\0' "$PG_BIN/postgres" -D "$dir" -c listen_addresses=127.0.0.1 -c "port=$2" \
        -c "unix_socket_directories=$socket" -c max_connections=200
}

# pg_ready PORT
pg_ready() {
    "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$1"
}

# Processes of the cluster in DIR, by their working directory: PostgreSQL overwrites its environ.
pg_processes() {
    local dir proc
    dir=$(realpath -m "$1")
    for proc in /proc/[0-9]*; do
        if [[ $(readlink "$proc/cwd" 2>/dev/null) == "$dir" ]]; then
            echo "${proc#/proc/}"
        fi
    done
}

# Before a start: what is left of a postmaster that was killed holds its shared memory and would
# fail the start. Its children end by themselves within moments; WAL makes killing them safe.
pg_sweep() {
    local pids
    mapfile -t pids < <(pg_processes "$1")
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
}
