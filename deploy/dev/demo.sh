# shellcheck shell=bash
# ./dev demo [MESSAGE]: the main job, from nothing to a result.

readonly DEMO_MESSAGE="List my recent emails" DEMO_EMAIL=demo@example.com

cmd_demo() {
    local token job_id job status began message=${1:-$DEMO_MESSAGE}
    (($# <= 1)) || die "demo takes one MESSAGE: put it into quotes"
    bring_up 1
    trap 'progress_stop; warn "interrupted; the stack stays up: ./dev down stops it"; exit 130' INT
    step 1 "sign in" "as $DEMO_EMAIL, by OAuth with PKCE, at the sandbox in Google's place"
    token=$(sign_in "$DEMO_EMAIL") || exit
    step 2 "ask" "POST $GATEWAY_URL/run  \"$(harmless "$message" 400)\""
    began=${EPOCHREALTIME//[.,]/}
    job_id=$(jq -n --arg message "$message" '{message: $message}' |
        api "$token" -d @- "$GATEWAY_URL/run" | jq -re .job_id) || die "the job was not accepted"
    detail "gateway → broker → jobs → PostgreSQL: committed in $(seconds_since "$began") s,"
    detail "as job $job_id"
    step 3 "run" "PostgreSQL → jobs → broker → worker → model → tools, each event as it comes:"
    progress_start "the job runs"
    follow_events "$token" "$job_id" "$began"
    progress_stop
    job=$(api "$token" "$GATEWAY_URL/result/$job_id?wait=60") || die "the job has no result"
    show_result "$job"
    status=$(jq -r .status <<<"$job")
    [[ $status == completed ]] || die "the job ended as $status"
    trap - INT
    where_next
}

step() {
    print_line "
$CYAN$1$PLAIN  $BOLD$(printf '%-8s' "$2")$PLAIN $3"
}

detail() {
    print_line "            $*"
}

# seconds_since MICROSECONDS, with two digits.
seconds_since() {
    local passed=$((${EPOCHREALTIME//[.,]/} - $1))
    printf '%d.%02d' $((passed / 1000000)) $((passed / 10000 % 100))
}

# For words of a user, a model or a tool. jq's gsub takes the square of a text's length: so it gets as
# much as a line shows, or piece by piece.
readonly TAME='
    def one_line($width): .[:2000] | gsub("\\s+"; " ") | gsub("[\\p{Cc}\\p{Cf}]"; "\ufffd")
        | if length > $width then .[:$width - 1] + "…" else . end;
    def tame($hidden): . as $text
        | [range(0; length; 200) as $i | $text[$i:$i + 200] | gsub($hidden; "\ufffd")] | join("");
    def wrapped($width): [match(".{1,\($width)}(?= |$)|.{1,\($width)}"; "g").string]
        | if . == [] then "" else .[0], (.[1:][] | ltrimstr(" ")) end;'

# harmless TEXT WIDTH: for one line of a terminal. Cut by jq: bash may know bytes only.
harmless() {
    jq -rn --arg text "$1" --argjson width "$2" "$TAME"' $text | one_line($width)'
}

# api TOKEN CURL-ARGUMENTS…: the token by a file descriptor, for a command line can be read by all.
api() {
    local token=$1
    shift
    curl -fsS -m 70 -H 'Content-Type: application/json' \
        -H @<(printf 'Authorization: Bearer %s\n' "$token") "$@"
}

# follow_events TOKEN JOB BEGAN
follow_events() {
    local line type=''
    while IFS= read -r line; do
        line=${line%$'\r'}
        case $line in
        "event: "*) type=${line#event: } ;;
        "data: "*) show_event "$(seconds_since "$3")" "$type" "${line#data: }" ;;
        esac
    done < <(curl -fsSN -m 300 -H @<(printf 'Authorization: Bearer %s\n' "$1") \
        "$GATEWAY_URL/jobs/$2/events")
}

# What an event says, in a line; who says it stands before it.
readonly EVENT_TEXT=$TAME'
    def told: del(.timestamp, .usage, .turn, .id, .is_error, .duration_ms);
    def words: to_entries | map(select(.value != null and .value != "" and (.key | test("tokens|ms$")
        | not)) | .key + "=" + (.value | if type == "string" then . else tojson end)) | join("  ");
    (if .duration_ms then "(\(.duration_ms) ms)  " else "" end) as $took
    | (if .usage.total_tokens then "  (\(.usage.total_tokens) tokens)" else "" end) as $tokens
    | if $type == "tool_call" then "calls \(.name)  " + ((.arguments // {}) | words)
      elif $type == "tool_result" then
        "\(.name)  " + $took + (if .is_error then "failed: " else "" end) + .content
      elif $type == "message" then .text + $tokens
      elif $type == "status" then .status + (if .error then ": \(.error)" else "" end) + $tokens
      else (told | words) end
    | one_line($width)'

# show_event TIME TYPE DATA: cut at the terminal's width.
show_event() {
    local text who colour='' width=100
    case $2 in
    status) who=jobs colour=$CYAN ;;
    tool_call) who=model colour=$YELLOW ;;
    tool_result) who=tool colour=$YELLOW ;;
    message) who=model colour=$GREEN ;;
    *) who=worker ;;
    esac
    [[ ! -t 2 ]] || width=$(terminal_width)
    width=$((width >= 40 ? width - 30 : 10))
    text=$(jq -r --arg type "$2" --argjson width "$width" "$EVENT_TEXT" <<<"$3" 2>/dev/null) ||
        text=$(harmless "$3" "$width")
    [[ $text != running* ]] || who=worker
    print_line "$(printf '  %6s s  %s%-10s%s %s' "$1" "$colour" "$who" "$PLAIN" "$text")"
}

# show_result JOB: for people on stderr; all of it on stdout.
show_result() {
    local width=88
    [[ ! -t 2 ]] || width=$(($(terminal_width) - 13))
    ((width <= 88)) || width=88
    ((width >= 20)) || width=20
    step 4 "result" "$(jq -r '.status + ", " + ((.token_usage.total_tokens // 0) | tostring) + " tokens ("
        + ((.token_usage.input_tokens // 0) | tostring) + " read, "
        + ((.token_usage.output_tokens // 0) | tostring) + " written)"' <<<"$1")"
    jq -r --argjson width "$width" "$TAME"' (.result // .error_message // "") | split("\n")[]
        | tame("[\\p{Cc}\\p{Cf}]") | wrapped($width)' <<<"$1" |
        awk -v most=24 'NR <= most { print "            " $0 }
            END { if (NR > most) print "            … and " NR - most " lines more, below" }' >&2
    print_line "
The whole job, as GET $GATEWAY_URL/result/$(jq -r .job_id <<<"$1") gives it:"
    if [[ -t 1 ]]; then
        jq "$TAME"' walk(if type == "string" then tame("[\\p{Cf}\\x{80}-\\x{9f}]") else . end)' <<<"$1"
    else
        jq . <<<"$1"
    fi
}

where_next() {
    cat >&2 <<END

${GREEN}The demo is done; the stack stays up.${PLAIN} Where to look next:
  ${BOLD}chat page${PLAIN}        $PUBLIC_URL/app
  ${BOLD}dashboard${PLAIN}        $MONITOR_URL (its token: . ${RUN#"$PWD"/}/env; echo \$MONITOR_TOKEN)
  ${BOLD}API, to try${PLAIN}      $GATEWAY_URL/docs
  another message  ./dev demo "Find the mail about the dentist appointment and put it into my
                   calendar"
  command line     ${BIN#"$PWD"/}/mcpbus status; ${BIN#"$PWD"/}/mcpbus run MESSAGE --user $DEMO_EMAIL
  another token    ./dev token you@example.com
  what runs        ./dev status; ./dev logs worker -f
  stop it          ./dev down
END
}
