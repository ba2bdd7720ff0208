/* Calendar's API v3, the primary calendar alone: reading events. */
#include "services/sandbox/calendar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/zone.h"
#include "services/sandbox/scopes.h"

enum { PAGE_MAX = 2500 };

bool calendar_is_own_id(const struct call *call, const char *id)
{
    return strcmp(id, "primary") == 0 || strcasecmp(id, call->account->email) == 0;
}

bool calendar_is_own(struct call *call)
{
    if (calendar_is_own_id(call, call->args[0]))
        return true;
    google_error(call, 404, "notFound", "Not Found");
    return false;
}

const char *calendar_zone(const struct call *call)
{
    return *call->account->time_zone ? call->account->time_zone : "UTC";
}

/* "2025-01-31T09:00:00" or "2025-01-31" on a zone's clock. */
static enum err local_time(const char *text, const char *zone, int64_t *ret_ms)
{
    char moment[TIME_TEXT_SIZE];
    int64_t ms, seconds;
    struct tm tm;
    snprintf(moment, sizeof(moment), strlen(text) == 10 ? "%.40sT00:00:00Z" : "%.40sZ", text);
    if (time_parse(moment, &ms))
        return ERR_INVALID;
    time_t whole = (time_t)(ms / 1000);
    gmtime_r(&whole, &tm);
    if (zone_to_utc(zone, &tm, &seconds))
        return ERR_INVALID;
    *ret_ms = seconds * 1000;
    return ERR_OK;
}

enum err calendar_when(const struct call *call, const json_t *when, int64_t *ret_ms)
{
    const char *date = js_str(when, "date", NULL), *moment = js_str(when, "dateTime", NULL);
    const char *zone = js_str(when, "timeZone", NULL);
    if (zone && !zone_is_known(zone))
        return ERR_INVALID;
    if (date)
        return moment || strlen(date) != 10 ? ERR_INVALID
                                            : local_time(date, calendar_zone(call), ret_ms);
    if (!moment || strlen(moment) <= 10 || strlen(moment) > 40)
        return ERR_INVALID;
    if (time_parse(moment, ret_ms) == ERR_OK)
        return ERR_OK;
    return zone ? local_time(moment, zone, ret_ms) : ERR_INVALID;
}

int64_t calendar_time(const struct call *call, const json_t *event, const char *key)
{
    int64_t ms = 0;
    return calendar_when(call, json_object_get(event, key), &ms) ? 0 : ms;
}

bool calendar_is_cancelled(const json_t *event)
{
    return strcmp(js_str(event, "status", ""), "cancelled") == 0;
}

/* The moment on the zone's clock. */
static void show_in(json_t *event, const char *key, const struct call *call, const char *zone)
{
    char text[ZONE_TEXT_SIZE];
    json_t *when = json_object_get(event, key);
    if (!json_object_get(when, "dateTime") ||
        zone_format(zone, calendar_time(call, event, key) / 1000, text))
        return;
    json_t *shown = json_copy(when);
    json_object_set_new(shown, "dateTime", json_string(text));
    if (!json_object_get(shown, "timeZone"))
        json_object_set_new(shown, "timeZone", json_string(zone));
    json_object_set_new(event, key, shown);
}

json_t *calendar_view(struct call *call, const json_t *event)
{
    const char *zone = call_query(call, "timeZone");
    json_t *view = json_copy((json_t *)event);
    zone = zone && zone_is_known(zone) ? zone : calendar_zone(call);
    show_in(view, "start", call, zone);
    show_in(view, "end", call, zone);
    return view;
}

void calendar_reply(struct call *call, const json_t *event)
{
    AUTOFREE char *etag = mem_strdup(js_str(event, "etag", ""));
    const struct http_header headers[] = {{"ETag", etag}, {NULL, NULL}};
    reply_fields(call, 200, calendar_view(call, event), call_query(call, "fields"), headers);
}

json_t *calendar_own_event(struct call *call)
{
    if (!calendar_is_own(call))
        return NULL;
    json_t *event = item_find(call->account->events, call->args[1]);
    const char *wanted = http_request_header(call->request, "If-Match");
    if (!event)
        google_error(call, 404, "notFound", "Not Found");
    else if (wanted && strcmp(wanted, "*") != 0 && strcmp(wanted, js_str(event, "etag", "")) != 0)
        google_error(call, 412, "conditionNotMet", "Precondition Failed");
    else
        return event;
    return NULL;
}

void calendar_get(struct call *call)
{
    const json_t *event = calendar_own_event(call);
    if (event)
        calendar_reply(call, event);
}

/* events.list */

/* ?name as a time; `def` when it is absent; false after a 400. */
static bool read_time(struct call *call, const char *name, int64_t def, int64_t *ret_ms)
{
    const char *text = call_query(call, name);
    *ret_ms = def;
    if (!text || (strlen(text) > 10 && time_parse(text, ret_ms) == ERR_OK))
        return true;
    google_error(call, 400, "badRequest", "Bad Request");
    return false;
}

static bool is_true(struct call *call, const char *name)
{
    const char *value = call_query(call, name);
    return value && strcmp(value, "true") == 0;
}

static bool check_order(struct call *call)
{
    const char *order = call_query(call, "orderBy");
    if (!order || strcmp(order, "updated") == 0 ||
        (strcmp(order, "startTime") == 0 && is_true(call, "singleEvents")))
        return true;
    if (strcmp(order, "startTime") == 0)
        google_error(call, 400, "orderingNotAvailable",
                     "The requested ordering is not available for the particular query.");
    else
        google_error(call, 400, "invalid", "Invalid value for orderBy.");
    return false;
}

/* ?syncToken, "s" and a time: what has changed since. False after the 410. */
static bool read_sync(struct call *call, struct calendar_range *range)
{
    const char *token = call_query(call, "syncToken");
    char *end = NULL;
    if (!token)
        return true;
    long long since = *token == 's' ? strtoll(token + 1, &end, 10) : 0;
    if (!end || end == token + 1 || *end || since < 0) {
        google_error(call, 410, "fullSyncRequired",
                     "Sync token is no longer valid, a full sync is required.");
        return false;
    }
    range->changed = since;
    range->cancelled = true;
    return true;
}

static bool read_range(struct call *call, struct calendar_range *ret_range)
{
    *ret_range = (struct calendar_range){.words = call_query(call, "q"),
                                         .cancelled = is_true(call, "showDeleted")};
    const char *zone = call_query(call, "timeZone");
    if (!read_time(call, "timeMin", INT64_MIN, &ret_range->min) ||
        !read_time(call, "timeMax", INT64_MAX, &ret_range->max) ||
        !read_time(call, "updatedMin", INT64_MIN, &ret_range->changed))
        return false;
    if (ret_range->min >= ret_range->max) {
        google_error(call, 400, "timeRangeEmpty", "The specified time range is empty.");
        return false;
    }
    if (!read_sync(call, ret_range))
        return false;
    if (zone && !zone_is_known(zone)) {
        google_error(call, 400, "invalidParameter", "Invalid time zone.");
        return false;
    }
    return check_order(call);
}

static bool is_selected(struct call *call, const json_t *event, const struct calendar_range *range)
{
    int64_t updated = 0;
    if ((calendar_is_cancelled(event) && !range->cancelled) ||
        time_parse(js_str(event, "updated", ""), &updated) || updated < range->changed)
        return false;
    return calendar_time(call, event, "end") > range->min &&
           calendar_time(call, event, "start") < range->max &&
           (!range->words || strcasestr(js_str(event, "summary", ""), range->words) ||
            strcasestr(js_str(event, "description", ""), range->words) ||
            strcasestr(js_str(event, "location", ""), range->words));
}

static int compare_events(const void *a, const void *b, void *call)
{
    int64_t first = calendar_time(call, *(json_t *const *)a, "start");
    int64_t second = calendar_time(call, *(json_t *const *)b, "start");
    return (first > second) - (first < second);
}

size_t calendar_select(struct call *call, const struct calendar_range *range, json_t **events)
{
    size_t i, count = 0;
    json_t *event;
    json_array_foreach(call->account->events, i, event)
    {
        if (is_selected(call, event, range))
            events[count++] = event;
    }
    qsort_r(events, count, sizeof(events[0]), compare_events, call);
    return count;
}

/* All that calendar.events.freebusy shows of an event. */
static json_t *busy_view(const json_t *event)
{
    json_t *view = json_object();
    static const char *const SHOWN[] = {"kind", "id", "start", "end", "status", "transparency"};
    for (size_t i = 0; i < sizeof(SHOWN) / sizeof(SHOWN[0]); i++)
        if (json_object_get(event, SHOWN[i]))
            json_object_set(view, SHOWN[i], json_object_get(event, SHOWN[i]));
    return view;
}

static void set_sync(json_t *answer, int64_t now_ms)
{
    AUTOFREE char *token = mem_printf("s%lld", (long long)now_ms);
    json_object_set_new(answer, "nextSyncToken", json_string(token));
}

void calendar_list(struct call *call)
{
    struct calendar_range range;
    json_t *events[ACCOUNT_ITEMS_MAX];
    size_t offset, limit = (size_t)call_limit(call, "maxResults", 250, PAGE_MAX);
    const char *zone = call_query(call, "timeZone");
    if (!calendar_is_own(call) || !call_offset(call, &offset) || !read_range(call, &range))
        return;
    bool times_alone = (call->scopes & SCOPE_CALENDAR_EVENTS_FREEBUSY) &&
                       !(call->scopes & (SCOPE_CALENDAR | SCOPE_CALENDAR_READONLY |
                                         SCOPE_CALENDAR_EVENTS | SCOPE_CALENDAR_EVENTS_READONLY));
    size_t count = calendar_select(call, &range, events);
    json_t *items = json_array();
    for (size_t i = offset; i < count && i - offset < limit; i++) {
        json_t *view = calendar_view(call, events[i]);
        json_array_append_new(items, times_alone ? busy_view(view) : json_incref(view));
        json_decref(view);
    }
    json_t *answer = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:[], s:o}", "kind", "calendar#events", "etag", "\"p32\"",
        "summary", call->account->email, "timeZone", zone ? zone : calendar_zone(call),
        "accessRole", times_alone ? "freeBusyReader" : "owner", "defaultReminders", "items", items);
    if (offset + limit < count)
        json_object_set_new(answer, "nextPageToken", page_token(offset + limit));
    else if (!call_query(call, "orderBy") && !call_query(call, "q"))
        set_sync(answer, call->now_ms);
    reply_json(call, 200, answer);
}
