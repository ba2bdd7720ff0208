# shellcheck shell=bash
# ./dev token: signs in as a browser would.

cmd_token() {
    (($# <= 1)) || die "token takes one address at the most"
    need_stack
    sign_in "${1:-demo@example.com}"
}

need_stack() {
    find_run_dir_only
    supervisor_alive && read_env || die "nothing is up in $RUN; try ./dev up -d"
}

# sign_in EMAIL: prints the access token. The sandbox's consent page is skipped by its own switch.
sign_in() {
    local scopes auth_url callback email
    scopes=$(curl -fsS -m 10 "$GATEWAY_URL/auth/scopes" |
        jq -c '{scopes: (.available_scopes | keys)}') || die "the gateway gives no scopes"
    auth_url=$(curl -fsS -m 10 -H 'Content-Type: application/json' -d "$scopes" \
        "$GATEWAY_URL/auth/scopes" | jq -re .auth_url) || die "the gateway begins no sign-in"
    if [[ $auth_url != "$SANDBOX_URL"/* ]]; then
        die "this stack signs in at Google: open $auth_url in a browser"
    fi
    [[ $1 == ?*@?* ]] || die "the sandbox takes an email address such as ann@example.com, not \"$1\""
    email=$(jq -rn --arg email "$1" '$email | @uri')
    callback=$(curl -sS -m 10 -o /dev/null -w '%{redirect_url}' \
        "$auth_url&sandbox_auto=allow&login_hint=$email")
    [[ $callback == *code=* ]] || die "the sandbox gave no code: ${callback:-no redirect}"
    curl -sS -m 10 -H 'Accept: application/json' "$callback" | jq -re .access_token ||
        die "the sign-in failed"
}
