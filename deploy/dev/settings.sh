# shellcheck shell=bash
# What a stack runs with: ports, secrets, the sandbox in place of Google and OpenAI.

# Variables written for the services (secrets/stack.env), in this order.
STACK_VARIABLES=(DATABASE_URL JWT_SECRET TOKEN_ENCRYPTION_KEY MONITOR_TOKEN BROKER_ENDPOINT
    BUS_SECURITY BUS_KEYS GATEWAY_ADDRESS MONITOR_ADDRESS CORE_DUMPS
    GATEWAY_PORT MONITOR_PORT SANDBOX_PORT POSTGRES_PORT HEALTH_PORT PUBLIC_URL GATEWAY_URL MONITOR_URL
    SANDBOX_URL GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_AUTH_URI GOOGLE_TOKEN_URI
    GOOGLE_USERINFO_URI GOOGLE_REVOKE_URI GOOGLE_API_BASE OPENAI_API_KEY OPENAI_BASE_URL)

# What can be checked before anything is touched.
check_ports() {
    local name
    default GATEWAY_PORT 8000
    default MONITOR_PORT 5555
    default SANDBOX_PORT 8090
    default BROKER_PORT 5550
    default POSTGRES_PORT 5433
    for name in GATEWAY MONITOR SANDBOX BROKER POSTGRES; do
        check_port "${name}_PORT"
    done
}

choose_ports() {
    local name ports
    HEALTH_PORT=0 # one number can't be the port of every service on one machine
    for name in GATEWAY MONITOR SANDBOX POSTGRES; do
        choose_port "${name}_PORT"
    done
    if ((BROKER_PORT == 0)); then
        BROKER_PORT=$(free_ports "${SCALE[broker]}") || exit
    fi
    ports=$(broker_ports)
    for name in $ports; do
        ! port_taken "$name" || refuse_port BROKER_PORT "$name"
    done
}

# choose_port VARIABLE: 0 becomes a free port; any other must be free.
choose_port() {
    local -n port_ref=$1
    if ((port_ref == 0)); then
        port_ref=$(free_ports 1) || exit
    elif [[ $1 == POSTGRES_PORT ]] && is_set DATABASE_URL; then
        return 0
    elif port_taken "$port_ref"; then
        refuse_port "$1" "$port_ref"
    fi
}

broker_ports() {
    seq "$BROKER_PORT" $((BROKER_PORT + SCALE[broker] - 1))
}

# Made once for a run folder, so that tokens and encrypted rows outlive a restart.
make_secrets() {
    local name
    mkdir -p "$RUN/secrets"
    chmod 700 "$RUN/secrets"
    for name in JWT_SECRET TOKEN_ENCRYPTION_KEY MONITOR_TOKEN POSTGRES_PASSWORD; do
        if [[ ! -s $RUN/secrets/$name ]]; then
            (umask 077 && random_hex 32 >"$RUN/secrets/$name.new")
            mv "$RUN/secrets/$name.new" "$RUN/secrets/$name"
        fi
    done
    default JWT_SECRET "$(<"$RUN/secrets/JWT_SECRET")"
    default TOKEN_ENCRYPTION_KEY "$(<"$RUN/secrets/TOKEN_ENCRYPTION_KEY")"
    default MONITOR_TOKEN "$(<"$RUN/secrets/MONITOR_TOKEN")"
}

# The keys of the bus, one for each role, likewise.
make_keys() {
    default BUS_SECURITY curve
    [[ $BUS_SECURITY == curve ]] || return 0
    default BUS_KEYS "$RUN/keys"
    [[ $BUS_KEYS == "$RUN/keys" ]] || return 0
    mkdir -p "$RUN/keys"
    chmod 700 "$RUN/keys"
    "$BIN/mcpbus" keygen --dir "$RUN/keys" >>"$RUN/logs/keygen.log" 2>&1 ||
        die "the keys of the bus can't be made: $(tail -n 1 "$RUN/logs/keygen.log")"
}

# Each variable by itself: one that is unset points at the sandbox, whatever the others say.
use_sandbox() {
    default CORE_DUMPS on # gdb and the tests look into the processes
    default GATEWAY_ADDRESS 127.0.0.1
    default MONITOR_ADDRESS 127.0.0.1
    default PUBLIC_URL "http://localhost:$GATEWAY_PORT"
    GATEWAY_URL=http://127.0.0.1:$GATEWAY_PORT
    SANDBOX_URL=http://127.0.0.1:$SANDBOX_PORT
    MONITOR_URL=http://127.0.0.1:$MONITOR_PORT
    warn_of_sandbox GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_AUTH_URI GOOGLE_TOKEN_URI \
        GOOGLE_USERINFO_URI GOOGLE_REVOKE_URI GOOGLE_API_BASE
    warn_of_sandbox OPENAI_API_KEY OPENAI_BASE_URL
    default GOOGLE_CLIENT_ID sandbox-client
    default GOOGLE_CLIENT_SECRET sandbox-secret
    default GOOGLE_AUTH_URI "$SANDBOX_URL/o/oauth2/v2/auth"
    default GOOGLE_TOKEN_URI "$SANDBOX_URL/token"
    default GOOGLE_USERINFO_URI "$SANDBOX_URL/v1/userinfo"
    default GOOGLE_REVOKE_URI "$SANDBOX_URL/revoke"
    default GOOGLE_API_BASE "$SANDBOX_URL"
    default OPENAI_API_KEY sandbox-key
    default OPENAI_BASE_URL "$SANDBOX_URL/v1"
}

# warn_of_sandbox KEY NAME…: who has a real account hardly wants the sandbox's part of it.
warn_of_sandbox() {
    local key=$1 name
    shift
    is_set "$key" || return 0
    for name in "$@"; do
        is_set "$name" || warn "$key is set, but $name is not: using the sandbox"
    done
}

set_database_url() {
    is_set DATABASE_URL && return 0
    PRIVATE_POSTGRES=1
    DATABASE_URL=postgresql://mcpbus:$(<"$RUN/secrets/POSTGRES_PASSWORD")@127.0.0.1:$POSTGRES_PORT
    DATABASE_URL+=/mcpbus
}

set_broker_endpoint() {
    local port list=()
    for port in $(broker_ports); do
        list+=("tcp://127.0.0.1:$port")
    done
    BROKER_ENDPOINT=$(IFS=, && echo "${list[*]}")
}

# Writes env (for people and tests) and secrets/stack.env (for the services).
write_env() {
    local name shown=(GATEWAY_URL MONITOR_URL MONITOR_TOKEN SANDBOX_URL BROKER_ENDPOINT BUS_SECURITY
        DATABASE_URL PUBLIC_URL)
    is_set BUS_KEYS && shown+=(BUS_KEYS)
    (
        umask 077
        for name in "${shown[@]}"; do
            printf 'export %s=%s\n' "$name" "$(quoted "${!name}")"
        done >"$RUN/env.new"
        for name in "${STACK_VARIABLES[@]}"; do
            is_set "$name" && printf 'export %s=%q\n' "$name" "${!name}"
        done >"$RUN/secrets/stack.env.new"
        {
            printf 'BIN=%q\nBROKER_PORT=%q\n' "$BIN" "$BROKER_PORT"
            printf 'PRIVATE_POSTGRES=%q\nENV_FILE=%q\n' "$PRIVATE_POSTGRES" "$ENV_FILE"
        } >"$RUN/secrets/stack.conf.new"
    )
    for name in env secrets/stack.env secrets/stack.conf; do
        mv "$RUN/$name.new" "$RUN/$name"
    done
}

# Writes secrets/caller.env: what else the caller's environment and .env say, for the services (any
# setting, ${NAME} of an MCP_CONFIG, a sanitizer's options). The supervision inherits none of it.
write_caller_env() {
    local name others
    others=" ${STACK_VARIABLES[*]} ${SUPERVISOR_VARIABLES[*]} MCPBUS_STACK PWD OLDPWD SHLVL _ "
    (
        umask 077
        for name in $(compgen -e); do
            [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ && $others != *" $name "* ]] || continue
            printf 'export %s=%q\n' "$name" "${!name}"
        done >"$RUN/secrets/caller.env.new"
    )
    mv "$RUN/secrets/caller.env.new" "$RUN/secrets/caller.env"
}

# Reads what the running stack was started with.
read_env() {
    [[ -f $RUN/secrets/stack.env ]] || return 1
    # shellcheck source=/dev/null
    source "$RUN/secrets/stack.env"
    # shellcheck source=/dev/null
    source "$RUN/secrets/stack.conf"
}
