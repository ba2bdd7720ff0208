#include "services/google/calendar_clock.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/zone.h"

/* events.list says the calendar's zone, and takes scopes that every other tool here needs too. */
enum err clock_zone(struct calendar_clock *clock, char ret_why[API_WHY_SIZE])
{
    AUTOJSON json_t *events = NULL;
    struct api_request request = {
        .host = API_CALENDAR, .path = CALENDAR_EVENTS, .query = "maxResults=1&fields=timeZone"};
    if (*clock->zone)
        return ERR_OK;
    enum err err = api_call(clock->api, &request, &events, ret_why);
    if (err)
        return err;
    const char *zone = js_str(events, "timeZone", "UTC");
    if (strlen(zone) >= sizeof clock->zone || !zone_is_known(zone)) {
        snprintf(ret_why, API_WHY_SIZE,
                 "The calendar's time zone is not known here: give times with their offset, such "
                 "as 2025-01-31T09:00:00+01:00.");
        return ERR_INVALID;
    }
    snprintf(clock->zone, sizeof clock->zone, "%s", zone);
    return ERR_OK;
}

enum err clock_ms(struct calendar_clock *clock, const struct when *when, int64_t *ret_ms,
                  char ret_why[API_WHY_SIZE])
{
    int64_t seconds = 0;
    if (when->kind == WHEN_MOMENT) {
        *ret_ms = when->ms;
        return ERR_OK;
    }
    enum err err = clock_zone(clock, ret_why);
    if (!err)
        err = zone_to_utc(clock->zone, &when->tm, &seconds);
    *ret_ms = seconds * 1000;
    return err;
}

void clock_text(const struct calendar_clock *clock, int64_t ms, char ret_text[WHEN_TEXT_SIZE])
{
    char text[ZONE_TEXT_SIZE] = "";
    if (zone_format(*clock->zone ? clock->zone : "UTC", ms / 1000, text) != ERR_OK)
        text[0] = '\0';
    snprintf(ret_text, WHEN_TEXT_SIZE, "%s", text);
}

/* "timeMin" or "timeMax". */
static bool read_limit(struct calendar_clock *clock, const json_t *args, const char *name,
                       int64_t *ret_ms, struct result *result)
{
    struct when when, next;
    char why[API_WHY_SIZE] = "";
    if (when_parse(js_str(args, name, ""), &when) != ERR_OK) {
        result_fail(result,
                    "\"%s\" must be a day or an RFC 3339 time, such as 2025-01-31, "
                    "2025-01-31T09:00:00+01:00, or 2025-01-31T09:00:00 on the calendar's clock.",
                    name);
        return false;
    }
    if (when.kind == WHEN_DAY && strcmp(name, "timeMax") == 0) {
        when_next_day(&when, &next);
        when = next;
    }
    if (clock_ms(clock, &when, ret_ms, why) == ERR_OK)
        return true;
    result_fail(result, "%s", why);
    return false;
}

bool clock_range(struct calendar_clock *clock, const json_t *args, struct calendar_range *ret_range,
                 struct result *result)
{
    struct calendar_range range;
    if (!read_limit(clock, args, "timeMin", &range.min, result) ||
        !read_limit(clock, args, "timeMax", &range.max, result))
        return false;
    if (range.min >= range.max) {
        result_fail(result, "\"timeMin\" must be before \"timeMax\".");
        return false;
    }
    *ret_range = range;
    return true;
}
