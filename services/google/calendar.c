#include <string.h>

#include "libcommon/js.h"
#include "services/google/rfc3339.h"
#include "services/google/tools.h"

enum {
    PAGE_MAX = 250,
    ATTENDEES_MAX = 50,
    TEXT_MAX_BYTES = 500,
    EVENT_ID_MAX = 1024,
    DESCRIPTION_MAX = 1000
};

/* Timed events have dateTime, whole days have date. */
static const char *time_of(const json_t *event, const char *which)
{
    const json_t *time = json_object_get(event, which);
    return js_str(time, "dateTime", js_str(time, "date", NULL));
}

static void add_optional(struct buf *text, const char *label, const char *value, size_t max)
{
    if (!value || !*value)
        return;
    buf_printf(text, "\n   %s: ", label);
    text_add_line(text, value, max);
}

static void add_attendees(struct buf *text, const json_t *event, json_t *json)
{
    const json_t *list = json_object_get(event, "attendees");
    size_t i, count = json_array_size(list);
    json_t *person, *emails = json_array();
    json_array_foreach(list, i, person)
    {
        if (i == ATTENDEES_MAX)
            break;
        buf_add_str(text, i ? ", " : "\n   Attendees: ");
        text_add_line(text, js_str(person, "email", ""), 100);
        buf_add_str(text, " (");
        text_add_line(text, js_str(person, "responseStatus", "unknown"), 20);
        buf_add_str(text, ")");
        json_array_append_new(emails,
                              js_string_capped(js_str(person, "email", ""),
                                               strlen(js_str(person, "email", "")), 100, "…"));
    }
    if (count > ATTENDEES_MAX)
        buf_printf(text, " [and %zu more]", count - ATTENDEES_MAX);
    if (count)
        json_object_set(json, "attendees", emails);
    json_decref(emails);
}

static bool take_event(void *arg, const json_t *event)
{
    struct listing *listing = arg;
    const char *summary = js_str(event, "summary", "(no title)");
    struct buf text;
    json_t *json = json_object();
    buf_init(&text, RESULT_ITEM_MAX);
    buf_printf(&text, "\n%zu. ", listing->count + 1);
    text_add_line(&text, summary, TEXT_MAX_BYTES);
    add_optional(&text, "Start", time_of(event, "start"), 64);
    add_optional(&text, "End", time_of(event, "end"), 64);
    add_optional(&text, "Location", js_str(event, "location", NULL), TEXT_MAX_BYTES);
    add_optional(&text, "Description", js_str(event, "description", NULL), DESCRIPTION_MAX);
    add_attendees(&text, event, json);
    add_optional(&text, "Status", js_str(event, "status", NULL), 32);
    add_optional(&text, "ID", js_str(event, "id", NULL), EVENT_ID_MAX);
    add_optional(&text, "Link", js_str(event, "htmlLink", NULL), TEXT_MAX_BYTES);
    buf_add_char(&text, '\n');

    json_set_line(json, "id", js_str(event, "id", NULL), EVENT_ID_MAX);
    json_set_line(json, "summary", summary, TEXT_MAX_BYTES);
    json_set_line(json, "start", time_of(event, "start"), 64);
    json_set_line(json, "end", time_of(event, "end"), 64);
    json_set_line(json, "location", js_str(event, "location", NULL), TEXT_MAX_BYTES);
    json_set_line(json, "description", js_str(event, "description", NULL), DESCRIPTION_MAX);
    json_set_line(json, "status", js_str(event, "status", NULL), 32);
    json_set_line(json, "htmlLink", js_str(event, "htmlLink", NULL), TEXT_MAX_BYTES);
    bool added = listing_add(listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added;
}

static bool check_times(const char *from, const char *to, struct result *result)
{
    int64_t begin = 0, end = 0;
    const char *bad = rfc3339_parse(from, &begin) != ERR_OK ? "timeMin"
                      : rfc3339_parse(to, &end) != ERR_OK   ? "timeMax"
                                                            : NULL;
    if (bad)
        result_fail(result,
                    "\"%s\" must be an RFC 3339 time with its time zone, such as "
                    "2025-01-31T09:00:00Z or 2025-01-31T09:00:00+01:00.",
                    bad);
    else if (begin >= end)
        result_fail(result, "\"timeMin\" must be before \"timeMax\".");
    return !result->error;
}

void calendar_list_events(struct api *api, const json_t *args, struct result *result)
{
    const char *from = js_str(args, "timeMin", ""), *to = js_str(args, "timeMax", "");
    struct listing listing;
    struct buf query;
    char why[API_WHY_SIZE] = "";
    bool more = false;
    if (!check_times(from, to, result))
        return;
    buf_init(&query, 4096);
    query_add(&query, "timeMin", from);
    query_add(&query, "timeMax", to);
    query_add(&query, "singleEvents", "true");
    query_add(&query, "orderBy", "startTime");
    listing_begin(&listing, result, "events");
    struct api_list list = {
        .request = {.host = API_CALENDAR,
                    .path = "/calendar/v3/calendars/primary/events",
                    .query = buf_text(&query)},
        .items = "items",
        .page_size = "maxResults",
        .page_max = PAGE_MAX,
        .max = js_int(args, "maxResults", 10),
        .fn = take_event,
        .arg = &listing,
    };
    enum err err = api_list(api, &list, &more, why);
    buf_fini(&query);
    listing_end(&listing, "event", err, why, more);
}
