/* calendar_get_availability */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/calendar_busy.h"
#include "services/google/calendar_clock.h"
#include "services/google/scopes_calendar.h"
#include "services/google/tools.h"

enum { PAGE_MAX = 2500, EVENTS_MAX = 5000, SHOWN_MAX = 200 };

struct finding {
    struct calendar_clock clock;
    struct calendar_range range;
    struct spans busy;
    bool more;
    char why[API_WHY_SIZE];
};

/* From a time of Google's answer; INT64_MIN: there is none. */
static int64_t time_of(struct finding *finding, const char *text)
{
    struct when when;
    int64_t ms = 0;
    if (!text || when_parse(text, &when) != ERR_OK ||
        clock_ms(&finding->clock, &when, &ms, finding->why) != ERR_OK)
        return INT64_MIN;
    return ms;
}

/* Those that the user declined, or marked as free, do not count. */
static bool counts(const json_t *event)
{
    size_t i;
    json_t *person;
    if (strcmp(js_str(event, "transparency", ""), "transparent") == 0 ||
        strcmp(js_str(event, "status", ""), "cancelled") == 0)
        return false;
    json_array_foreach(json_object_get(event, "attendees"), i, person)
    {
        if (js_bool(person, "self", false))
            return strcmp(js_str(person, "responseStatus", ""), "declined") != 0;
    }
    return true;
}

static void add_span(struct finding *finding, const char *start, const char *end)
{
    int64_t from = time_of(finding, start), to = time_of(finding, end);
    if (from != INT64_MIN && to != INT64_MIN)
        spans_add(&finding->busy, from, to, finding->range.min, finding->range.max);
}

static bool take_event(void *arg, const json_t *event)
{
    struct finding *finding = arg;
    const json_t *start = json_object_get(event, "start"), *end = json_object_get(event, "end");
    if (counts(event))
        add_span(finding, js_str(start, "dateTime", js_str(start, "date", NULL)),
                 js_str(end, "dateTime", js_str(end, "date", NULL)));
    return true;
}

static enum err from_events(struct finding *finding)
{
    struct buf query;
    char text[WHEN_TEXT_SIZE];
    buf_init(&query, 4096);
    buf_add_str(&query, "singleEvents=true&orderBy=startTime&fields=nextPageToken,items(status,"
                        "transparency,start,end,attendees(self,responseStatus))");
    clock_text(&finding->clock, finding->range.min, text);
    query_add(&query, "timeMin", text);
    clock_text(&finding->clock, finding->range.max, text);
    query_add(&query, "timeMax", text);
    struct api_list list = {
        .request = {.host = API_CALENDAR, .path = CALENDAR_EVENTS, .query = buf_text(&query)},
        .items = "items",
        .page_size = "maxResults",
        .page_max = PAGE_MAX,
        .max = EVENTS_MAX,
        .fn = take_event,
        .arg = finding,
    };
    enum err err = api_list(finding->clock.api, &list, &finding->more, finding->why);
    buf_fini(&query);
    return err;
}

static enum err from_free_busy(struct finding *finding)
{
    char from[WHEN_TEXT_SIZE], to[WHEN_TEXT_SIZE];
    size_t i;
    json_t *span;
    clock_text(&finding->clock, finding->range.min, from);
    clock_text(&finding->clock, finding->range.max, to);
    AUTOJSON json_t *answer = NULL;
    AUTOJSON json_t *body =
        json_pack("{s:s,s:s,s:[{s:s}]}", "timeMin", from, "timeMax", to, "items", "id", "primary");
    struct api_request request = {.method = "POST",
                                  .host = API_CALENDAR,
                                  .path = "/calendar/v3/freeBusy",
                                  .body = body,
                                  .repeatable = true};
    enum err err = api_call(finding->clock.api, &request, &answer, finding->why);
    const json_t *calendar = json_object_get(json_object_get(answer, "calendars"), "primary");
    if (!err && json_array_size(json_object_get(calendar, "errors"))) {
        snprintf(finding->why, sizeof finding->why, "Google could not read the calendar.");
        return ERR_NOT_FOUND;
    }
    json_array_foreach(json_object_get(calendar, "busy"), i, span)
    {
        add_span(finding, js_str(span, "start", NULL), js_str(span, "end", NULL));
    }
    return err;
}

static void show(const struct finding *finding, const char *heading, const char *key,
                 const struct spans *spans, struct result *result)
{
    char from[WHEN_TEXT_SIZE], to[WHEN_TEXT_SIZE];
    json_t *list = json_array();
    buf_printf(&result->text, "%s:%s\n", heading, spans->count ? "" : " none");
    for (size_t i = 0; i < spans->count && i < SHOWN_MAX; i++) {
        clock_text(&finding->clock, spans->list[i].start, from);
        clock_text(&finding->clock, spans->list[i].end, to);
        buf_printf(&result->text, "- %s to %s\n", from, to);
        json_array_append_new(list, json_pack("{s:s,s:s}", "start", from, "end", to));
    }
    if (spans->count > SHOWN_MAX || spans->full || finding->more)
        buf_add_str(&result->text, "[there are more: ask for a shorter time]\n");
    json_object_set_new(result->structured, key, list);
}

/* freeBusy takes more than the scopes for events, which read the events instead. */
void calendar_get_availability(struct api *api, const json_t *args, struct result *result)
{
    AUTOFREE struct finding *finding = mem_alloc(sizeof *finding);
    AUTOFREE struct spans *gaps = mem_alloc(sizeof *gaps);
    uint32_t scopes = api_config(api)->scopes;
    finding->clock.api = api;
    if (!clock_range(&finding->clock, args, &finding->range, result))
        return;
    /* Times are shown on the calendar's clock where that may be read. */
    if ((scopes & SCOPES_CALENDAR_LIST) && clock_zone(&finding->clock, finding->why) != ERR_OK) {
        result_fail(result, "%s", finding->why);
        return;
    }
    enum err err = scopes & SCOPES_CALENDAR_FREE_BUSY ? from_free_busy(finding) : ERR_INVALID;
    /* Google refuses freeBusy for more than a few months, too. */
    if (err == ERR_INVALID && (scopes & SCOPES_CALENDAR_LIST))
        err = from_events(finding);
    if (err) {
        result_fail(result, "%s", finding->why);
        return;
    }
    spans_merge(&finding->busy);
    spans_gaps(&finding->busy, finding->range.min, finding->range.max, gaps);
    result->structured = json_object();
    show(finding, "Busy", "busy", &finding->busy, result);
    show(finding, "Free", "free", gaps, result);
    if (*finding->clock.zone)
        json_set_line(result->structured, "timeZone", finding->clock.zone, 80);
}
