#include "libcommon/js.h"
#include "services/google/calendar_clock.h"
#include "services/google/calendar_event.h"
#include "services/google/tools.h"

enum { PAGE_MAX = 250 };

static bool take_event(void *arg, const json_t *event)
{
    struct listing *listing = arg;
    struct buf text;
    buf_init(&text, RESULT_ITEM_MAX);
    buf_printf(&text, "\n%zu. ", listing->count + 1);
    json_t *json = event_tell(event, &text);
    bool added = listing_add(listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added;
}

void calendar_list_events(struct api *api, const json_t *args, struct result *result)
{
    struct calendar_clock clock = {.api = api};
    struct calendar_range range;
    struct listing listing;
    struct buf query;
    char why[API_WHY_SIZE] = "", text[WHEN_TEXT_SIZE];
    bool more = false;
    if (!clock_range(&clock, args, &range, result))
        return;
    buf_init(&query, 4096);
    buf_add_str(&query,
                "singleEvents=true&orderBy=startTime&fields=nextPageToken,items(" EVENT_FIELDS ")");
    clock_text(&clock, range.min, text);
    query_add(&query, "timeMin", text);
    clock_text(&clock, range.max, text);
    query_add(&query, "timeMax", text);
    listing_begin(&listing, result, "events");
    struct api_list list = {
        .request = {.host = API_CALENDAR, .path = CALENDAR_EVENTS, .query = buf_text(&query)},
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
