/* Calendar's API v3, the primary calendar alone. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"
#include "services/sandbox/errors.h"

enum { PAGE_MAX = 2500, MADE_IDS = 1000, TEXT_MAX = 8192, ATTENDEES_MAX = 200 };

static bool is_own(struct call *call)
{
    if (strcmp(call->args[0], "primary") == 0 ||
        strcasecmp(call->args[0], call->account->email) == 0)
        return true;
    google_error(call, 404, "notFound", "Not Found");
    return false;
}

/* When an event starts or ends. */
static int64_t event_time(const json_t *event, const char *key)
{
    const json_t *when = json_object_get(event, key);
    int64_t ms = 0;
    const char *text = js_str(when, "dateTime", js_str(when, "date", ""));
    if (time_parse(text, &ms))
        return 0;
    return ms;
}

struct range {
    int64_t min, max;
    const char *words;
};

/* ?name as a time; `def` when it is absent; false after a 400. */
static bool read_time(struct call *call, const char *name, int64_t def, int64_t *ret_ms)
{
    const char *text = http_request_query(call->request, name);
    *ret_ms = def;
    if (!text || (strlen(text) > 10 && time_parse(text, ret_ms) == ERR_OK))
        return true;
    google_error(call, 400, "badRequest", "Bad Request");
    return false;
}

static bool read_range(struct call *call, struct range *ret_range)
{
    const char *order = http_request_query(call->request, "orderBy");
    const char *single = http_request_query(call->request, "singleEvents");
    ret_range->words = http_request_query(call->request, "q");
    if (!read_time(call, "timeMin", INT64_MIN, &ret_range->min) ||
        !read_time(call, "timeMax", INT64_MAX, &ret_range->max))
        return false;
    if (ret_range->min >= ret_range->max) {
        google_error(call, 400, "timeRangeEmpty", "The specified time range is empty.");
        return false;
    }
    bool known = !order || strcmp(order, "startTime") == 0 || strcmp(order, "updated") == 0;
    if (!known ||
        (order && strcmp(order, "startTime") == 0 && (!single || strcmp(single, "true") != 0))) {
        google_error(call, 400, known ? "orderingNotAvailable" : "invalid",
                     known ? "The requested ordering is not available for the particular query."
                           : "Invalid value for orderBy.");
        return false;
    }
    return true;
}

static bool in_range(const json_t *event, const struct range *range)
{
    return event_time(event, "end") > range->min && event_time(event, "start") < range->max &&
           (!range->words || strcasestr(js_str(event, "summary", ""), range->words) ||
            strcasestr(js_str(event, "description", ""), range->words) ||
            strcasestr(js_str(event, "location", ""), range->words));
}

static int compare_events(const void *a, const void *b)
{
    int64_t first = event_time(*(json_t *const *)a, "start");
    int64_t second = event_time(*(json_t *const *)b, "start");
    return (first > second) - (first < second);
}

/* The events in the range by their start; `events` has room for all. */
static size_t select_events(struct call *call, const struct range *range, json_t **events)
{
    size_t i, count = 0;
    json_t *event;
    json_array_foreach(call->account->events, i, event) if (in_range(event, range))
        events[count++] = event;
    qsort(events, count, sizeof(events[0]), compare_events);
    return count;
}

void calendar_list(struct call *call)
{
    struct range range;
    json_t *events[ACCOUNT_ITEMS_MAX];
    size_t offset, limit = (size_t)call_limit(call, "maxResults", 250, PAGE_MAX);
    if (!is_own(call) || !call_offset(call, &offset) || !read_range(call, &range))
        return;
    size_t count = select_events(call, &range, events);
    json_t *items = json_array();
    for (size_t i = offset; i < count && i - offset < limit; i++)
        json_array_append(items, events[i]);
    json_t *answer = json_pack("{s:s, s:s, s:s, s:s, s:[], s:o}", "kind", "calendar#events",
                               "summary", call->account->email, "timeZone", "UTC", "accessRole",
                               "owner", "defaultReminders", "items", items);
    if (offset + limit < count)
        json_object_set_new(answer, "nextPageToken", page_token(offset + limit));
    reply_json(call, 200, answer);
}

static json_t *own_event(struct call *call)
{
    if (!is_own(call))
        return NULL;
    json_t *event = item_find(call->account->events, call->args[1]);
    if (!event)
        google_error(call, 404, "notFound", "Not Found");
    return event;
}

void calendar_get(struct call *call)
{
    json_t *event = own_event(call);
    if (event)
        reply_json(call, 200, json_incref(event));
}

void calendar_delete(struct call *call)
{
    if (!own_event(call))
        return;
    item_remove(call->account->events, call->args[1]);
    http_respond(call->request, 204, NULL, "", 0, NULL);
}

/* Is it {date} or {dateTime with an offset, or with a timeZone}? */
static bool when_is_valid(const json_t *when)
{
    int64_t ms;
    char text[TIME_TEXT_SIZE];
    const char *date = js_str(when, "date", NULL), *moment = js_str(when, "dateTime", NULL);
    if (date)
        return !moment && strlen(date) == 10 && time_parse(date, &ms) == ERR_OK;
    if (!moment || strlen(moment) > 40)
        return false;
    if (time_parse(moment, &ms) == ERR_OK)
        return strlen(moment) > 10;
    snprintf(text, sizeof(text), "%sZ", moment);
    return js_str(when, "timeZone", NULL) && time_parse(text, &ms) == ERR_OK;
}

/* A moment in a named zone is taken as UTC: the invented calendar lies there. */
static json_t *normal_when(const json_t *when)
{
    int64_t ms;
    char text[TIME_TEXT_SIZE];
    json_t *copy = json_deep_copy(when);
    const char *moment = js_str(when, "dateTime", NULL);
    if (moment && time_parse(moment, &ms)) {
        snprintf(text, sizeof(text), "%sZ", moment);
        json_object_set_new(copy, "dateTime", json_string(text));
    }
    return copy;
}

static const char *check_event(const json_t *event)
{
    const json_t *attendees = json_object_get(event, "attendees"), *one;
    size_t i;
    if (event_time(event, "end") < event_time(event, "start"))
        return "The specified time range is empty.";
    if (json_array_size(attendees) > ATTENDEES_MAX)
        return "Too many attendees.";
    json_array_foreach(
        attendees, i,
        one) if (!email_is_valid(js_str(one, "email", ""))) return "Invalid attendee email.";
    return NULL;
}

/* Copies what a caller may set; NULL: fine, else what is wrong. */
static const char *apply(json_t *event, const json_t *body, int64_t now_ms)
{
    static const char *const TEXTS[] = {"summary",    "location",     "description", "status",
                                        "visibility", "transparency", "colorId",     NULL};
    static const char *const OTHERS[] = {"attendees", "recurrence", "reminders", "guestsCanModify",
                                         NULL};
    static const char *const TIMES[] = {"start", "end", NULL};
    char now[TIME_TEXT_SIZE];
    for (int i = 0; TEXTS[i]; i++) {
        const char *value = js_str(body, TEXTS[i], NULL);
        if (value)
            json_object_set_new(event, TEXTS[i],
                                js_string_capped(value, strlen(value), TEXT_MAX, ""));
    }
    for (int i = 0; OTHERS[i]; i++)
        if (json_object_get(body, OTHERS[i]))
            json_object_set(event, OTHERS[i], json_object_get(body, OTHERS[i]));
    for (int i = 0; TIMES[i]; i++) {
        const json_t *when = json_object_get(body, TIMES[i]);
        if (when && !when_is_valid(when))
            return "Invalid start or end time.";
        if (when)
            json_object_set_new(event, TIMES[i], normal_when(when));
    }
    time_rfc3339(now_ms, now);
    json_object_set_new(event, "updated", json_string(now));
    return check_event(event);
}

/* New attendees have not answered yet. */
static void invite(json_t *event)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(event, "attendees"), i,
                       one) if (!json_object_get(one, "responseStatus"))
        json_object_set_new(one, "responseStatus", json_string("needsAction"));
}

static json_t *blank_event(struct call *call)
{
    char id[ITEM_ID_SIZE], now[TIME_TEXT_SIZE];
    data_event_id(call->account->email, MADE_IDS + call->account->serial++, id);
    time_rfc3339(call->now_ms, now);
    AUTOFREE char *link = mem_printf("https://www.google.com/calendar/event?eid=%s", id);
    AUTOFREE char *uid = mem_printf("%s@google.com", id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:b}, s:{s:s, s:b}, s:s, s:i, s:s}",
                     "kind", "calendar#event", "id", id, "status", "confirmed", "htmlLink", link,
                     "created", now, "iCalUID", uid, "creator", "email", call->account->email,
                     "self", 1, "organizer", "email", call->account->email, "self", 1, "eventType",
                     "default", "sequence", 0, "etag", "\"1\"");
}

void calendar_insert(struct call *call)
{
    AUTOJSON json_t *body = is_own(call) ? google_body(call) : NULL;
    if (!body)
        return;
    size_t bytes;
    http_request_body(call->request, &bytes);
    AUTOJSON json_t *event = blank_event(call);
    const char *why = apply(event, body, call->now_ms);
    if (!why && (!json_object_get(event, "start") || !json_object_get(event, "end")))
        why = "Missing start or end time.";
    invite(event);
    if (why)
        google_error(call, 400, "required", why);
    else if (item_add(call->account, call->account->events, json_incref(event), bytes))
        google_error(call, 403, "quotaExceeded", "Calendar usage limits exceeded.");
    else
        reply_json(call, 200, json_incref(event));
}

void calendar_patch(struct call *call)
{
    json_t *event = own_event(call);
    AUTOJSON json_t *body = event ? google_body(call) : NULL;
    if (!body)
        return;
    AUTOJSON json_t *changed = json_deep_copy(event);
    const char *why = apply(changed, body, call->now_ms);
    size_t bytes;
    http_request_body(call->request, &bytes);
    if (why || bytes > ACCOUNT_STORED_MAX - call->account->stored) {
        google_error(call, why ? 400 : 403, why ? "invalid" : "quotaExceeded",
                     why ? why : "Calendar usage limits exceeded.");
        return;
    }
    invite(changed);
    call->account->stored += bytes;
    json_object_set_new(changed, "sequence", json_integer(js_int(event, "sequence", 0) + 1));
    json_object_clear(event);
    json_object_update(event, changed);
    reply_json(call, 200, json_incref(event));
}

static json_t *busy_times(struct call *call, const struct range *range)
{
    json_t *events[ACCOUNT_ITEMS_MAX];
    size_t count = select_events(call, range, events);
    json_t *busy = json_array();
    int64_t start = 0, end = INT64_MIN;
    for (size_t i = 0; i <= count; i++) {
        int64_t next = i < count ? event_time(events[i], "start") : INT64_MAX;
        if (i < count && strcmp(js_str(events[i], "transparency", ""), "transparent") == 0)
            continue;
        if (next > end && end != INT64_MIN) {
            char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
            time_rfc3339(start, from);
            time_rfc3339(end, to);
            memcpy(from + 19, "Z", 2);
            memcpy(to + 19, "Z", 2);
            json_array_append_new(busy, json_pack("{s:s, s:s}", "start", from, "end", to));
        }
        if (i == count)
            break;
        start = next > end ? next : start;
        int64_t until = event_time(events[i], "end");
        end = until > end ? until : end;
        start = start < range->min ? range->min : start;
        end = end > range->max ? range->max : end;
    }
    return busy;
}

void calendar_free_busy(struct call *call)
{
    AUTOJSON json_t *body = google_body(call);
    struct range range = {0};
    if (!body)
        return;
    if (time_parse(js_str(body, "timeMin", ""), &range.min) ||
        time_parse(js_str(body, "timeMax", ""), &range.max) || range.min >= range.max) {
        google_error(call, 400, "badRequest", "Missing or invalid timeMin or timeMax.");
        return;
    }
    size_t i;
    const json_t *item;
    json_t *calendars = json_object();
    json_array_foreach(json_object_get(body, "items"), i, item)
    {
        const char *id = js_str(item, "id", "");
        bool own = strcmp(id, "primary") == 0 || strcasecmp(id, call->account->email) == 0;
        json_object_set_new(calendars, id,
                            own ? json_pack("{s:o}", "busy", busy_times(call, &range))
                                : json_pack("{s:[{s:s, s:s}], s:[]}", "errors", "domain", "global",
                                            "reason", "notFound", "busy"));
        if (i == 49) /* Google's own limit */
            break;
    }
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:s, s:o}", "kind", "calendar#freeBusy", "timeMin",
                         js_str(body, "timeMin", ""), "timeMax", js_str(body, "timeMax", ""),
                         "calendars", calendars));
}

void calendar_calendars(struct call *call)
{
    reply_json(call, 200,
               json_pack("{s:s, s:[{s:s, s:s, s:s, s:b, s:s, s:s}]}", "kind",
                         "calendar#calendarList", "items", "kind", "calendar#calendarListEntry",
                         "id", call->account->email, "summary", call->account->email, "primary", 1,
                         "accessRole", "owner", "timeZone", "UTC"));
}
