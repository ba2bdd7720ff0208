#!/bin/sh
# Makes what is missing of secrets/: random ones at once; google_client_secret and openai_api_key are
# asked for. Only root and you can enter the folder; in the containers the files are read by their
# user, whom this machine does not know.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 700 secrets

random_hex() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# put NAME VALUE, unless it is there
put() {
    [ -s "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
}

# What is typed is not shown; the terminal is set right again whatever happens.
trap '[ ! -t 0 ] || stty echo' EXIT
trap 'exit 1' INT TERM

ask() {
    [ -s "secrets/$1" ] && return 0
    printf '%s: ' "$2" >&2
    value=
    [ ! -t 0 ] || stty -echo
    read -r value || true
    [ ! -t 0 ] || {
        stty echo
        echo >&2
    }
    [ -n "$value" ] || {
        echo "secrets/$1 is missing still" >&2
        exit 1
    }
    put "$1" "$value"
}

put postgres_password "$(random_hex)"
put database_url "postgresql://mcpbus:$(cat secrets/postgres_password)@postgres:5432/mcpbus"
put jwt_secret "$(random_hex)"
put token_encryption_key "$(random_hex)"
put monitor_token "$(random_hex)"
put webhook_secret "whsec_$(head -c 32 /dev/urandom | base64)"
ask google_client_secret "the secret of your Google OAuth client"
ask openai_api_key "the key of the model's endpoint"
