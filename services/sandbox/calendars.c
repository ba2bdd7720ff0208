/* Calendar's API v3: free times, the calendar itself and its settings. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/zone.h"
#include "services/sandbox/calendar.h"

enum { CALENDARS_MAX = 50 }; /* Google's own limit */

static json_t *span(int64_t start_ms, int64_t end_ms, const char *zone)
{
    char from[ZONE_TEXT_SIZE] = "", to[ZONE_TEXT_SIZE] = "";
    if (zone_format(zone, start_ms / 1000, from) || zone_format(zone, end_ms / 1000, to))
        return json_object();
    return json_pack("{s:s, s:s}", "start", from, "end", to);
}

/* Times that touch or overlap are one. */
static json_t *busy_times(struct call *call, const struct calendar_range *range, const char *zone)
{
    json_t *events[ACCOUNT_ITEMS_MAX];
    size_t count = calendar_select(call, range, events);
    json_t *busy = json_array();
    int64_t start = 0, end = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(js_str(events[i], "transparency", ""), "transparent") == 0)
            continue;
        int64_t from = calendar_time(call, events[i], "start");
        int64_t to = calendar_time(call, events[i], "end");
        from = from < range->min ? range->min : from;
        to = to > range->max ? range->max : to;
        if (end != INT64_MIN && from > end)
            json_array_append_new(busy, span(start, end, zone));
        if (end == INT64_MIN || from > end)
            start = from;
        end = to > end ? to : end;
    }
    if (end != INT64_MIN)
        json_array_append_new(busy, span(start, end, zone));
    return busy;
}

void calendar_free_busy(struct call *call)
{
    AUTOJSON json_t *body = google_body(call);
    struct calendar_range range = {.changed = INT64_MIN};
    if (!body)
        return;
    const char *zone = js_str(body, "timeZone", "UTC");
    if (time_parse(js_str(body, "timeMin", ""), &range.min) ||
        time_parse(js_str(body, "timeMax", ""), &range.max) || !zone_is_known(zone)) {
        google_error(call, 400, "badRequest", "Bad Request");
        return;
    }
    if (range.min >= range.max) {
        google_error(call, 400, "timeRangeEmpty", "The specified time range is empty.");
        return;
    }
    size_t i;
    const json_t *item;
    json_t *calendars = json_object();
    json_array_foreach(json_object_get(body, "items"), i, item)
    {
        const char *id = js_str(item, "id", "");
        json_object_set_new(calendars, id,
                            calendar_is_own_id(call, id)
                                ? json_pack("{s:o}", "busy", busy_times(call, &range, zone))
                                : json_pack("{s:[{s:s, s:s}], s:[]}", "errors", "domain", "global",
                                            "reason", "notFound", "busy"));
        if (i + 1 == CALENDARS_MAX)
            break;
    }
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:s, s:o}", "kind", "calendar#freeBusy", "timeMin",
                         js_str(body, "timeMin", ""), "timeMax", js_str(body, "timeMax", ""),
                         "calendars", calendars));
}

static json_t *entry(struct call *call)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:[]}", "kind",
                     "calendar#calendarListEntry", "etag", "\"1\"", "id", call->account->email,
                     "summary", call->account->email, "primary", 1, "selected", 1, "accessRole",
                     "owner", "timeZone", calendar_zone(call), "defaultReminders");
}

void calendar_calendars(struct call *call)
{
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:[o]}", "kind", "calendar#calendarList", "etag", "\"1\"",
                         "items", entry(call)));
}

void calendar_entry(struct call *call)
{
    if (calendar_is_own_id(call, call->args[1]))
        reply_json(call, 200, entry(call));
    else
        google_error(call, 404, "notFound", "Not Found");
}

static json_t *own_calendar(struct call *call)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", "calendar#calendar", "etag", "\"1\"",
                     "id", call->account->email, "summary", call->account->email, "timeZone",
                     calendar_zone(call));
}

void calendar_own(struct call *call)
{
    if (calendar_is_own(call))
        reply_json(call, 200, own_calendar(call));
}

void calendar_own_patch(struct call *call)
{
    AUTOJSON json_t *body = calendar_is_own(call) ? google_body(call) : NULL;
    if (!body)
        return;
    const char *zone = js_str(body, "timeZone", NULL);
    if (zone && (!zone_is_known(zone) || strlen(zone) >= sizeof(call->account->time_zone))) {
        google_error(call, 400, "invalid", "Invalid time zone.");
        return;
    }
    if (zone)
        snprintf(call->account->time_zone, sizeof(call->account->time_zone), "%s", zone);
    reply_json(call, 200, own_calendar(call));
}

/* NULL: there is no such setting. */
static json_t *setting(struct call *call, const char *name)
{
    const char *value = strcmp(name, "timezone") == 0 ? calendar_zone(call)
                        : strcmp(name, "locale") == 0 ? "en"
                                                      : NULL;
    return value ? json_pack("{s:s, s:s, s:s, s:s}", "kind", "calendar#setting", "etag", "\"1\"",
                             "id", name, "value", value)
                 : NULL;
}

void calendar_setting(struct call *call)
{
    json_t *found = setting(call, call->args[1]);
    if (found)
        reply_json(call, 200, found);
    else
        google_error(call, 404, "notFound", "Not Found");
}

void calendar_settings(struct call *call)
{
    reply_json(call, 200,
               json_pack("{s:s, s:s, s:[o, o]}", "kind", "calendar#settings", "etag", "\"1\"",
                         "items", setting(call, "timezone"), setting(call, "locale")));
}
