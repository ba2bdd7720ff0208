#include "services/google/calendar_event.h"

#include <string.h>

#include "libcommon/js.h"
#include "services/google/result.h"

enum { ATTENDEES_MAX = 50, TEXT_MAX_BYTES = 500, EVENT_ID_MAX = 1024, DESCRIPTION_MAX = 1000 };

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
        const char *email = js_str(person, "email", "");
        if (i == ATTENDEES_MAX)
            break;
        buf_add_str(text, i ? ", " : "\n   Attendees: ");
        text_add_line(text, email, 100);
        buf_add_str(text, " (");
        text_add_line(text, js_str(person, "responseStatus", "unknown"), 20);
        buf_add_str(text, ")");
        json_array_append_new(emails, js_string_capped(email, strlen(email), 100, "…"));
    }
    if (count > ATTENDEES_MAX)
        buf_printf(text, " [and %zu more]", count - ATTENDEES_MAX);
    if (count)
        json_object_set(json, "attendees", emails);
    json_decref(emails);
}

json_t *event_tell(const json_t *event, struct buf *out)
{
    const char *summary = js_str(event, "summary", "(no title)");
    json_t *json = json_object();
    text_add_line(out, summary, TEXT_MAX_BYTES);
    add_optional(out, "Start", time_of(event, "start"), 64);
    add_optional(out, "End", time_of(event, "end"), 64);
    add_optional(out, "Location", js_str(event, "location", NULL), TEXT_MAX_BYTES);
    add_optional(out, "Description", js_str(event, "description", NULL), DESCRIPTION_MAX);
    add_attendees(out, event, json);
    add_optional(out, "Status", js_str(event, "status", NULL), 32);
    add_optional(out, "ID", js_str(event, "id", NULL), EVENT_ID_MAX);
    add_optional(out, "Link", js_str(event, "htmlLink", NULL), TEXT_MAX_BYTES);
    add_optional(out, "Meeting", js_str(event, "hangoutLink", NULL), TEXT_MAX_BYTES);
    buf_add_char(out, '\n');

    json_set_line(json, "id", js_str(event, "id", NULL), EVENT_ID_MAX);
    json_set_line(json, "summary", summary, TEXT_MAX_BYTES);
    json_set_line(json, "start", time_of(event, "start"), 64);
    json_set_line(json, "end", time_of(event, "end"), 64);
    json_set_line(json, "location", js_str(event, "location", NULL), TEXT_MAX_BYTES);
    json_set_line(json, "description", js_str(event, "description", NULL), DESCRIPTION_MAX);
    json_set_line(json, "status", js_str(event, "status", NULL), 32);
    json_set_line(json, "htmlLink", js_str(event, "htmlLink", NULL), TEXT_MAX_BYTES);
    return json;
}
