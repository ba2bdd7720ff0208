/* Calendar's API v3: making, changing and deleting events. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/calendar.h"
#include "services/sandbox/notify.h"

enum { MADE_IDS = 1000, TEXT_MAX = 8192, ATTENDEES_MAX = 200 };

/* What is wrong with a change: reason and words of the 400. */
struct fault_words {
    const char *reason, *message;
};

static bool check_attendees(const json_t *event, struct fault_words *why)
{
    const json_t *attendees = json_object_get(event, "attendees"), *one;
    size_t i;
    if (json_array_size(attendees) > ATTENDEES_MAX) {
        *why = (struct fault_words){"invalid", "Too many attendees."};
        return false;
    }
    json_array_foreach(attendees, i, one)
    {
        if (!email_is_valid(js_str(one, "email", ""))) {
            *why = (struct fault_words){"invalid", "Invalid attendee email."};
            return false;
        }
    }
    return true;
}

static bool check_event(struct call *call, const json_t *event, struct fault_words *why)
{
    static const char *const TIMES[] = {"start", "end"};
    int64_t times[2];
    for (int i = 0; i < 2; i++) {
        const json_t *when = json_object_get(event, TIMES[i]);
        if (!when) {
            *why =
                (struct fault_words){"required", i ? "Missing end time." : "Missing start time."};
            return false;
        }
        if (calendar_when(call, when, &times[i])) {
            bool naive = json_object_get(when, "dateTime") && !json_object_get(when, "timeZone");
            *why = naive ? (struct fault_words){"required", "Missing time zone definition for "
                                                            "start time."}
                         : (struct fault_words){"invalid", "Invalid start or end time."};
            return false;
        }
    }
    bool whole_days = json_object_get(json_object_get(event, "start"), "date") != NULL;
    if (whole_days != (json_object_get(json_object_get(event, "end"), "date") != NULL)) {
        *why = (struct fault_words){"invalid", "Start and end times must either both be date or "
                                               "both be dateTime."};
        return false;
    }
    if (times[1] < times[0] || (whole_days && times[1] == times[0])) {
        *why = (struct fault_words){"timeRangeEmpty", "The specified time range is empty."};
        return false;
    }
    return check_attendees(event, why);
}

/* A new time replaces the old one, whatever form that had. */
static void set_time(json_t *event, const char *key, const json_t *given, bool merge)
{
    const json_t *before = json_object_get(event, key);
    json_t *when = merge && before ? json_copy((json_t *)before) : json_object();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)given, name, value)
    {
        if (json_is_null(value))
            json_object_del(when, name);
        else
            json_object_set(when, name, value);
    }
    json_object_set_new(event, key, when);
}

/* Copies what a caller may set; null removes. */
static void apply(struct call *call, json_t *event, const json_t *body, bool merge)
{
    static const char *const TEXTS[] = {"summary",    "location",     "description", "status",
                                        "visibility", "transparency", "colorId",     NULL};
    static const char *const OTHERS[] = {"attendees",       "recurrence",         "reminders",
                                         "guestsCanModify", "extendedProperties", NULL};
    char now[TIME_TEXT_SIZE];
    for (int i = 0; TEXTS[i]; i++) {
        const json_t *value = json_object_get(body, TEXTS[i]);
        if (json_is_string(value))
            json_object_set_new(event, TEXTS[i],
                                js_string_capped(json_string_value(value),
                                                 json_string_length(value), TEXT_MAX, ""));
        else if (json_is_null(value))
            json_object_del(event, TEXTS[i]);
    }
    for (int i = 0; OTHERS[i]; i++)
        if (json_object_get(body, OTHERS[i]))
            json_object_set(event, OTHERS[i], json_object_get(body, OTHERS[i]));
    if (json_is_object(json_object_get(body, "start")))
        set_time(event, "start", json_object_get(body, "start"), merge);
    if (json_is_object(json_object_get(body, "end")))
        set_time(event, "end", json_object_get(body, "end"), merge);
    time_rfc3339(call->now_ms, now);
    AUTOFREE char *etag =
        mem_printf("\"%llu\"", (unsigned long long)call->now_ms * 1000 + call->account->serial++);
    json_object_set_new(event, "updated", json_string(now));
    json_object_set_new(event, "etag", json_string(etag));
}

/* New attendees have not answered yet. */
static void invite(json_t *event)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(event, "attendees"), i, one)
    {
        if (!json_object_get(one, "responseStatus"))
            json_object_set_new(one, "responseStatus", json_string("needsAction"));
    }
}

/* ?sendUpdates=all sends mails. */
static void tell(struct call *call, const json_t *event, const char *what)
{
    const char *updates = call_query(call, "sendUpdates");
    const char *older = call_query(call, "sendNotifications");
    size_t i;
    json_t *one;
    if (updates ? strcmp(updates, "all") != 0 : !older || strcmp(older, "true") != 0)
        return;
    AUTOFREE char *subject = mem_printf("%s: %s", what, js_str(event, "summary", "(No title)"));
    json_array_foreach(json_object_get(event, "attendees"), i, one)
    {
        notify_mail(call, js_str(one, "email", ""), subject, js_str(event, "htmlLink", ""));
    }
}

static bool updates_known(struct call *call)
{
    const char *updates = call_query(call, "sendUpdates");
    if (!updates || strcmp(updates, "all") == 0 || strcmp(updates, "none") == 0 ||
        strcmp(updates, "externalOnly") == 0)
        return true;
    google_error(call, 400, "invalidParameter",
                 "Invalid value for sendUpdates. Allowed values: [all, externalOnly, none]");
    return false;
}

static json_t *blank_event(struct call *call, const json_t *body)
{
    char id[ITEM_ID_SIZE], now[TIME_TEXT_SIZE];
    const char *wanted = js_str(body, "id", NULL);
    data_event_id(call->account->email, MADE_IDS + call->account->serial++, id);
    if (wanted)
        snprintf(id, sizeof(id), "%s", wanted);
    time_rfc3339(call->now_ms, now);
    AUTOFREE char *link = mem_printf("https://www.google.com/calendar/event?eid=%s", id);
    AUTOFREE char *uid = mem_printf("%s@google.com", id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:b}, s:{s:s, s:b}, s:s, s:i, s:s}",
                     "kind", "calendar#event", "id", id, "status", "confirmed", "htmlLink", link,
                     "created", now, "iCalUID", uid, "creator", "email", call->account->email,
                     "self", 1, "organizer", "email", call->account->email, "self", 1, "eventType",
                     "default", "sequence", 0, "etag", "\"1\"");
}

/* Google takes base32hex of 5 characters and more. */
static bool id_is_free(struct call *call, const json_t *body)
{
    const char *id = js_str(body, "id", NULL);
    if (!id)
        return true;
    if (strlen(id) < 5 || strlen(id) >= ITEM_ID_SIZE ||
        id[strspn(id, "0123456789abcdefghijklmnopqrstuv")])
        google_error(call, 400, "invalid", "Invalid resource id value.");
    else if (item_find(call->account->events, id))
        google_error(call, 409, "duplicate", "The requested identifier already exists.");
    else
        return true;
    return false;
}

void calendar_insert(struct call *call)
{
    AUTOJSON json_t *body = calendar_is_own(call) && updates_known(call) ? google_body(call) : NULL;
    if (!body || !id_is_free(call, body))
        return;
    size_t bytes;
    call_body(call, &bytes);
    AUTOJSON json_t *event = blank_event(call, body);
    struct fault_words why;
    apply(call, event, body, false);
    invite(event);
    if (!check_event(call, event, &why)) {
        google_error(call, 400, why.reason, why.message);
    } else if (item_add(call->account, call->account->events, json_incref(event), bytes)) {
        google_error(call, 403, "quotaExceeded", "Calendar usage limits exceeded.");
    } else {
        tell(call, event, "Invitation");
        calendar_reply(call, event);
    }
}

/* `changed` (borrowed) becomes the event. */
static void store(struct call *call, json_t *event, json_t *changed)
{
    size_t bytes;
    struct fault_words why;
    call_body(call, &bytes);
    invite(changed);
    if (!check_event(call, changed, &why)) {
        google_error(call, 400, why.reason, why.message);
    } else if (bytes > ACCOUNT_STORED_MAX - call->account->stored) {
        google_error(call, 403, "quotaExceeded", "Calendar usage limits exceeded.");
    } else {
        call->account->stored += bytes;
        json_object_set_new(changed, "sequence", json_integer(js_int(event, "sequence", 0) + 1));
        json_object_clear(event);
        json_object_update(event, changed);
        tell(call, event, "Updated invitation");
        calendar_reply(call, event);
    }
}

void calendar_patch(struct call *call)
{
    json_t *event = updates_known(call) ? calendar_own_event(call) : NULL;
    AUTOJSON json_t *body = event ? google_body(call) : NULL;
    if (!body)
        return;
    AUTOJSON json_t *changed = json_deep_copy(event);
    apply(call, changed, body, true);
    store(call, event, changed);
}

/* What the body leaves out is gone. */
void calendar_update(struct call *call)
{
    static const char *const KEPT[] = {"kind",    "id",        "htmlLink",  "created", "iCalUID",
                                       "creator", "organizer", "eventType", "status",  NULL};
    json_t *event = updates_known(call) ? calendar_own_event(call) : NULL;
    AUTOJSON json_t *body = event ? google_body(call) : NULL;
    if (!body)
        return;
    AUTOJSON json_t *changed = json_object();
    for (int i = 0; KEPT[i]; i++)
        json_object_set(changed, KEPT[i], json_object_get(event, KEPT[i]));
    apply(call, changed, body, false);
    store(call, event, changed);
}

/* A deleted event stays, as cancelled. */
void calendar_delete(struct call *call)
{
    json_t *event = updates_known(call) ? calendar_own_event(call) : NULL;
    if (!event)
        return;
    if (calendar_is_cancelled(event)) {
        google_error(call, 410, "deleted", "Resource has been deleted");
        return;
    }
    AUTOJSON json_t *cancelled = json_pack("{s:s}", "status", "cancelled");
    tell(call, event, "Canceled event");
    apply(call, event, cancelled, true);
    call_respond(call, 204, NULL, "", 0, NULL);
}
