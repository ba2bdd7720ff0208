/* Invented calendar events. */
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/sandbox/data.h"

#define DAY_MS INT64_C(86400000)
enum { HOUR_MS = 3600000 };

static const struct plan {
    const char *summary, *location, *description;
    int day, hour, minutes; /* days from today; minutes 0: all day */
} PLANS[] = {
    {"Retrospective", "Room Delta", "What went well, what did not", -6, 15, 60},
    {"Library opening", "Main street 4", NULL, -3, 10, 90},
    {"One to one with Barbara", NULL, NULL, -1, 14, 30},
    {"Stand-up", "Video call", "Every morning", 0, 9, 15},
    {"Design review of the message bus", "Room Gamma", "Bring the drawings", 0, 23, 45},
    {"Stand-up", "Video call", "Every morning", 1, 9, 15},
    {"Lunch with Alan", "Harbour Kitchen", NULL, 1, 12, 60},
    {"Dentist", "Mill lane 12", NULL, 2, 10, 45},
    {"Team offsite", "Lake house", "Two days of planning", 3, 0, 0},
    {"Interview of a candidate", "Room Alpha", NULL, 4, 9, 60},
    {"Piano lesson", NULL, NULL, 5, 18, 60},
    {"Quarterly planning", "Room Gamma", "Goals of the next quarter", 9, 13, 120},
};

static json_t *when(int64_t ms, bool all_day)
{
    char text[TIME_TEXT_SIZE];
    time_rfc3339(ms, text);
    if (all_day) {
        text[10] = 0;
        return json_pack("{s:s}", "date", text);
    }
    memcpy(text + 19, "Z", 2);
    return json_pack("{s:s, s:s}", "dateTime", text, "timeZone", "UTC");
}

static json_t *make_event(const struct account *account, unsigned i, int64_t midnight_ms)
{
    const struct plan *plan = &PLANS[i];
    char id[ITEM_ID_SIZE], made[TIME_TEXT_SIZE];
    bool all_day = plan->minutes == 0;
    int64_t start = midnight_ms + plan->day * DAY_MS + (int64_t)plan->hour * HOUR_MS;
    int64_t end = all_day ? start + DAY_MS : start + (int64_t)plan->minutes * 60000;
    data_event_id(account->email, i, id);
    time_rfc3339(midnight_ms - 14 * DAY_MS, made);
    AUTOFREE char *link = mem_printf("https://www.google.com/calendar/event?eid=%s", id);
    AUTOFREE char *uid = mem_printf("%s@google.com", id);
    json_t *event = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:b}, s:{s:s, s:b}, s:o, s:o, s:s, s:i, "
        "s:s}",
        "kind", "calendar#event", "id", id, "status", "confirmed", "htmlLink", link, "created",
        made, "updated", made, "summary", plan->summary, "iCalUID", uid, "creator", "email",
        account->email, "self", 1, "organizer", "email", account->email, "self", 1, "start",
        when(start, all_day), "end", when(end, all_day), "eventType", "default", "sequence", 0,
        "etag", "\"1\"");
    if (plan->location)
        json_object_set_new(event, "location", json_string(plan->location));
    if (plan->description)
        json_object_set_new(event, "description", json_string(plan->description));
    return event;
}

json_t *data_events(const struct account *account, int64_t now_ms)
{
    json_t *events = json_array();
    for (unsigned i = 0; i < sizeof(PLANS) / sizeof(PLANS[0]); i++)
        json_array_append_new(events, make_event(account, i, now_ms - now_ms % DAY_MS));
    return events;
}
