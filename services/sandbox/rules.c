#include "services/sandbox/rules.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"

enum { TEXT_MAX = 1 << 20, WORD_MAX = 1024, DAYS_AHEAD = 7, USES_MAX = 256 };
#define DAY_MS INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

struct plan {
    const char *text;
    size_t turn; /* turns with tools before this one */
    const json_t *tools;
    json_t *calls;
    int64_t now_ms;
};

char *rules_text(const json_t *message)
{
    const json_t *content = json_object_get(message, "content"), *part;
    struct buf text;
    size_t i;
    if (json_is_string(content))
        return mem_strdup(json_string_value(content));
    buf_init(&text, TEXT_MAX);
    json_array_foreach(content, i, part)
    {
        if (text.len)
            buf_add_char(&text, '\n');
        buf_add_str(&text, js_str(part, "text", ""));
    }
    return buf_steal(&text);
}

long rules_last_user(const json_t *messages)
{
    for (size_t i = json_array_size(messages); i-- > 0;)
        if (strcmp(js_str(json_array_get(messages, i), "role", ""), "user") == 0)
            return (long)i;
    return -1;
}

/* The offered tool that is called `name`, whole or behind its server's "__"; NULL: none. */
static const char *find_tool(const json_t *tools, const char *name)
{
    size_t i, len = strlen(name);
    const json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const char *full = js_str(json_object_get(tool, "function"), "name", "");
        size_t full_len = strlen(full);
        if (strcmp(full, name) == 0)
            return full;
        if (full_len > len + 2 && strcmp(full + full_len - len, name) == 0 &&
            strncmp(full + full_len - len - 2, "__", 2) == 0)
            return full;
    }
    return NULL;
}

/* Asks for a tool, if it is offered; consumes `arguments`. */
static bool call_tool(struct plan *plan, const char *name, json_t *arguments)
{
    const char *full = find_tool(plan->tools, name);
    bool fits = full && json_array_size(plan->calls) < RULES_CALLS_MAX;
    if (fits) {
        AUTOFREE char *text = js_dump(arguments);
        json_array_append_new(plan->calls,
                              json_pack("{s:s, s:s}", "name", full, "arguments", text));
    }
    json_decref(arguments);
    return fits;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where one of the words (separated by '|') stands alone in the text, whatever its case. */
static const char *find_word(const char *text, const char *words)
{
    for (const char *at = text; *at; at++) {
        if (at != text && is_word_char(at[-1]))
            continue;
        for (const char *word = words; word; word = strchr(word, '|') ? strchr(word, '|') + 1 : 0) {
            size_t len = strcspn(word, "|");
            if (strncasecmp(at, word, len) == 0 && !is_word_char(at[len]))
                return at;
        }
    }
    return NULL;
}

/* The first number that stands alone, within 1 and 100; `def` when there is none. */
static int find_number(const char *text, int def)
{
    for (const char *at = text; *at; at++) {
        if (!isdigit((unsigned char)*at) || (at != text && (is_word_char(at[-1]) || at[-1] == '.')))
            continue;
        char *end;
        long number = strtol(at, &end, 10);
        if (!is_word_char(*end) && number >= 1 && number <= 100)
            return (int)number;
        at = end - 1;
    }
    return def;
}

/* The rest of the line, without white space and quotes around it and marks behind it. */
static void take_line(const char *at, char word[WORD_MAX])
{
    at += strspn(at, " \t\"'`");
    size_t len = strcspn(at, "\r\n");
    const char *bracket = memmem(at, len, "[sandbox:", 9);
    len = bracket ? (size_t)(bracket - at) : len;
    while (len && strchr(" \t\"'`.?!", at[len - 1]))
        len--;
    len = len < WORD_MAX - 1 ? len : WORD_MAX - 1;
    memcpy(word, at, len);
    word[len] = 0;
}

/* The next word: to white space, without quotes around it and marks behind it. */
static const char *take_word(const char *at, char word[WORD_MAX])
{
    at += strspn(at, " \t\"'`");
    size_t len = strcspn(at, " \t\r\n\"'`"), used = len;
    while (len > 1 && strchr(".,;:?!", at[len - 1]))
        len--;
    len = len < WORD_MAX - 1 ? len : WORD_MAX - 1;
    memcpy(word, at, len);
    word[len] = 0;
    return at + used;
}

static bool stands_before(const char *text, const char *at, const char *words)
{
    size_t len = strlen(words);
    return (size_t)(at - text) >= len && strncasecmp(at - len, words, len) == 0;
}

/* "use tool NAME with {JSON}", as often as it stands there; behind "then", in a turn of its own. A
 * tool that is not offered is called if "really" stands before it. JSON that does not parse is
 * passed on as it is, as models do. */
static void plan_use_tool(struct plan *plan)
{
    char name[WORD_MAX];
    size_t turn = 0;
    int left = USES_MAX; /* parsing looks ahead: bounded also when nothing comes of it */
    for (const char *at = plan->text; left-- > 0 && (at = strcasestr(at, "use tool "));) {
        bool really = stands_before(plan->text, at, "really ");
        turn += stands_before(plan->text, really ? at - 7 : at, "then ");
        at = take_word(at + 9, name);
        const char *full = find_tool(plan->tools, name);
        full = full || !really ? full : name;
        const char *rest = at + strspn(at, " \t\"'`");
        char *arguments = NULL;
        if (strncasecmp(rest, "with ", 5) == 0) {
            json_error_t error;
            rest += 5 + strspn(rest + 5, " \t");
            json_t *value = json_loads(rest, JSON_DISABLE_EOF_CHECK, &error);
            arguments = value ? js_dump(value) : mem_strndup(rest, strcspn(rest, "\r\n"));
            at = value ? rest + error.position : rest;
            json_decref(value);
        }
        if (full && turn == plan->turn && json_array_size(plan->calls) < RULES_CALLS_MAX)
            json_array_append_new(
                plan->calls,
                json_pack("{s:s, s:o}", "name", full, "arguments",
                          js_string_capped(arguments ? arguments : "{}",
                                           strlen(arguments ? arguments : "{}"), TEXT_MAX, "")));
        free(arguments);
    }
}

static void plan_echo(struct plan *plan)
{
    char text[WORD_MAX];
    const char *at = find_word(plan->text, "echo");
    if (!at)
        return;
    take_line(at + 4, text);
    call_tool(plan, "echo",
              json_pack("{s:o}", "message", js_string_capped(text, strlen(text), WORD_MAX, "")));
}

static json_t *number_value(double value)
{
    return value >= -9e15 && value <= 9e15 && value == (double)(json_int_t)value
               ? json_integer((json_int_t)value)
               : json_real(value);
}

static void plan_add(struct plan *plan)
{
    static const char *const NAMES[] = {"get-sum", "get_sum", "add", NULL};
    const char *at = find_word(plan->text, "add");
    char *end;
    if (!at)
        return;
    double a = strtod(at + 3, &end);
    end += strspn(end, " \t");
    if (end == at + 3 || strncasecmp(end, "and ", 4) != 0)
        return;
    const char *second = end + 4;
    double b = strtod(second, &end);
    if (end == second || !(a - a == 0) || !(b - b == 0)) /* infinities and NaN are no JSON */
        return;
    for (int i = 0; NAMES[i]; i++)
        if (call_tool(plan, NAMES[i],
                      json_pack("{s:o, s:o}", "a", number_value(a), "b", number_value(b))))
            return;
}

static void plan_directory(struct plan *plan)
{
    char path[WORD_MAX];
    const char *at = strcasestr(plan->text, "list the directory ");
    if (!at)
        return;
    take_word(at + strlen("list the directory "), path);
    call_tool(plan, "list_directory",
              json_pack("{s:o}", "path", js_string_capped(path, strlen(path), WORD_MAX, "")));
}

/* What stands behind "search … for". */
static bool find_search(const char *text, char query[WORD_MAX])
{
    const char *at = find_word(text, "search|find");
    at = at ? find_word(at, "for") : NULL;
    if (!at)
        return false;
    take_line(at + 3, query);
    return *query != 0;
}

static void plan_mail(struct plan *plan, const char *query)
{
    if (find_word(plan->text, "labels"))
        call_tool(plan, "gmail_list_labels", json_object());
    if (!find_word(plan->text, "emails|email|inbox|mails|mail|messages"))
        return;
    json_t *arguments = json_pack("{s:i}", "max_results", find_number(plan->text, 5));
    if (query)
        json_object_set_new(arguments, "query",
                            js_string_capped(query, strlen(query), WORD_MAX, ""));
    call_tool(plan, "gmail_list_messages", arguments);
}

static void plan_drive(struct plan *plan, const char *query)
{
    bool named = find_word(plan->text, "files|drive|documents") != NULL;
    bool mail = find_word(plan->text, "emails|email|inbox|mails|mail|messages") != NULL;
    if (query && (named || !mail))
        call_tool(
            plan, "drive_search",
            json_pack("{s:o}", "query", js_string_capped(query, strlen(query), WORD_MAX, "")));
    else if (named)
        call_tool(plan, "drive_list_all_files",
                  json_pack("{s:i}", "max_results", find_number(plan->text, 10)));
}

static void plan_calendar(struct plan *plan)
{
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    if (!find_word(plan->text, "calendar|events|meetings"))
        return;
    int64_t now_ms = plan->now_ms - plan->now_ms % 1000;
    time_rfc3339(now_ms, from);
    time_rfc3339(now_ms + DAYS_AHEAD * DAY_MS, to);
    call_tool(plan, "calendar_list_events",
              json_pack("{s:s, s:s}", "timeMin", from, "timeMax", to));
}

/* "Find the mail about … and put it into my calendar": what the mail is about. */
static bool find_appointment(const char *text, char query[WORD_MAX])
{
    const char *put = find_word(text, "put|enter"), *about = find_word(text, "about");
    if (!put || !about || about > put || !find_word(put, "calendar") ||
        !find_word(text, "mail|email|message"))
        return false;
    AUTOFREE char *part = mem_strndup(about + 5, (size_t)(put - about) - 5);
    size_t len = strlen(part);
    while (len && strchr(" ,", part[len - 1]))
        part[--len] = 0;
    if (len > 4 && strcasecmp(part + len - 4, " and") == 0)
        part[len - 4] = 0;
    const char *from = part + strspn(part, " ");
    take_line(strncasecmp(from, "the ", 4) == 0 ? from + 4 : from, query);
    return *query != 0;
}

static void plan_first(struct plan *plan)
{
    char query[WORD_MAX];
    plan_use_tool(plan);
    if (json_array_size(plan->calls))
        return;
    if (find_appointment(plan->text, query)) {
        plan_mail(plan, query);
        plan_calendar(plan);
        return;
    }
    plan_echo(plan);
    plan_add(plan);
    plan_directory(plan);
    if (json_array_size(plan->calls)) /* their texts may hold any word */
        return;
    bool search = find_search(plan->text, query);
    plan_mail(plan, search ? query : NULL);
    plan_drive(plan, search ? query : NULL);
    plan_calendar(plan);
}

/* Mail ids are 16 hexadecimal digits that stand alone. */
static bool find_mail_id(const char *text, char id[MAIL_ID_LEN + 1])
{
    for (const char *at = text; *at; at++) {
        if (at != text && is_word_char(at[-1]))
            continue;
        size_t len = strspn(at, "0123456789abcdef");
        if (len == MAIL_ID_LEN && !is_word_char(at[len])) {
            memcpy(id, at, len);
            id[len] = 0;
            return true;
        }
    }
    return false;
}

/* The first mail of a list that a tool has answered with. */
static bool find_listed(const json_t *messages, size_t user, char id[MAIL_ID_LEN + 1])
{
    for (size_t i = user + 1; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        if (strcmp(js_str(message, "role", ""), "tool") != 0)
            continue;
        AUTOFREE char *result = rules_text(message);
        if (find_mail_id(result, id))
            return true;
    }
    return false;
}

/* "Read the first email": after the list, its first one. */
static void plan_second(struct plan *plan, const json_t *messages, size_t user)
{
    char id[MAIL_ID_LEN + 1], query[WORD_MAX];
    const char *read = find_word(plan->text, "read|open");
    bool first = read && find_word(read, "first|latest|newest|last");
    if ((!first && !find_appointment(plan->text, query)) || !find_listed(messages, user, id))
        return;
    if (!call_tool(plan, "gmail_read_message_without_attachments",
                   json_pack("{s:s}", "message_id", id)))
        call_tool(plan, "gmail_read_message", json_pack("{s:s}", "message_id", id));
}

/* The mail that was read becomes an hour of tomorrow. */
static void plan_third(struct plan *plan)
{
    char query[WORD_MAX], from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    if (!find_appointment(plan->text, query))
        return;
    int64_t start = plan->now_ms - plan->now_ms % DAY_MS + DAY_MS + 10 * HOUR_MS;
    time_rfc3339(start, from);
    time_rfc3339(start + HOUR_MS, to);
    call_tool(plan, "calendar_create_event_with_invitations",
              json_pack("{s:o, s:s, s:s, s:s}", "summary",
                        js_string_capped(query, strlen(query), WORD_MAX, ""), "startTime", from,
                        "endTime", to, "description", "From a mail."));
}

/* How many turns with tools there were since the user spoke. */
static size_t count_turns(const json_t *messages, size_t user)
{
    size_t turns = 0;
    for (size_t i = user + 1; i < json_array_size(messages); i++)
        turns += json_array_size(json_object_get(json_array_get(messages, i), "tool_calls")) > 0;
    return turns;
}

json_t *rules_calls(const json_t *messages, const json_t *tools, int64_t now_ms, bool loop)
{
    struct plan plan = {.tools = tools, .calls = json_array(), .now_ms = now_ms};
    long user = rules_last_user(messages);
    if (user < 0 || json_array_size(tools) == 0)
        return plan.calls;
    AUTOFREE char *text = rules_text(json_array_get(messages, (size_t)user));
    plan.text = text;
    size_t turns = count_turns(messages, (size_t)user);
    plan.turn = loop ? 0 : turns;
    if (plan.turn == 0)
        plan_first(&plan);
    else
        plan_use_tool(&plan);
    if (plan.turn == 1 && json_array_size(plan.calls) == 0)
        plan_second(&plan, messages, (size_t)user);
    else if (plan.turn == 2 && json_array_size(plan.calls) == 0)
        plan_third(&plan);
    if (loop && json_array_size(plan.calls) == 0)
        call_tool(&plan, js_str(json_object_get(json_array_get(tools, 0), "function"), "name", ""),
                  json_object());
    return plan.calls;
}
