# shellcheck shell=bash
# ./dev demo [MESSAGE]: the main job, from nothing to a result.

readonly DEMO_MESSAGE="List my recent emails"

cmd_demo() {
    local token job_id job status message=${1:-$DEMO_MESSAGE}
    bring_up 1
    say "signing in as demo@example.com, by OAuth at the sandbox"
    token=$(sign_in demo@example.com) || exit
    say "POST /run: \"$message\""
    job_id=$(jq -n --arg message "$message" '{message: $message}' |
        api "$token" -d @- "$GATEWAY_URL/run" | jq -re .job_id) || die "the job was not accepted"
    say "job $job_id; its events, as they happen:"
    follow_events "$token" "$job_id"
    job=$(api "$token" "$GATEWAY_URL/result/$job_id?wait=60") || die "the job has no result"
    say "the job:"
    jq . <<<"$job"
    status=$(jq -r .status <<<"$job")
    [[ $status == completed ]] || die "the job ended as $status"
    where_next
}

# api TOKEN CURL-ARGUMENTS…: the token by a file descriptor, for a command line can be read by all.
api() {
    local token=$1
    shift
    curl -fsS -m 70 -H 'Content-Type: application/json' \
        -H @<(printf 'Authorization: Bearer %s\n' "$token") "$@"
}

follow_events() {
    local line type='' id=''
    while IFS= read -r line; do
        line=${line%$'\r'}
        case $line in
        "event: "*) type=${line#event: } ;;
        "id: "*) id=${line#id: } ;;
        "data: "*) show_event "$id" "$type" "${line#data: }" ;;
        esac
    done < <(curl -fsSN -m 300 -H @<(printf 'Authorization: Bearer %s\n' "$1") \
        "$GATEWAY_URL/jobs/$2/events")
}

# show_event ID TYPE DATA: a line, with what the data says, cut at a screen's width or two.
show_event() {
    local text colour=''
    case $2 in
    status) colour=$CYAN ;;
    tool_call | tool_result) colour=$YELLOW ;;
    message) colour=$GREEN ;;
    esac
    text=$(jq -r 'if type == "object" then del(.usage, .turn, .timestamp) | to_entries | map(
            .key + "=" + (.value | if type == "string" then . else tojson end)) | join("  ")
        else tojson end | gsub("\\s+"; " ") | .[:220]' <<<"$3" 2>/dev/null) || text=$3
    printf '  %3s  %s%-11s%s  %s\n' "$1" "$colour" "$2" "$PLAIN" "$text" >&2
}

where_next() {
    cat >&2 <<END

${GREEN}The demo is done; the stack stays up.${PLAIN}
  API, to try in the browser   $GATEWAY_URL/docs
  dashboard                    $MONITOR_URL (its token: . ${RUN#"$PWD"/}/env; echo \$MONITOR_TOKEN)
  another message              ./dev demo "Find the mail about the dentist appointment and put it
                                 into my calendar"
  sign in by hand              curl -sH 'Content-Type: application/json' \\
                                 -d '{"scopes":["gmail_readonly"]}' $GATEWAY_URL/auth/scopes
  another token                ./dev token you@example.com
  what runs, its logs          ./dev status; ./dev logs worker -f
  metrics                      $GATEWAY_URL/metrics
  stop it                      ./dev down
END
}
