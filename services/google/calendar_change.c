/* Making, changing and deleting events. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/addresses.h"
#include "services/google/calendar_clock.h"
#include "services/google/calendar_event.h"
#include "services/google/tools.h"

enum { NEW_ID_SIZE = 33, DAY_MS = 24 * 60 * 60 * 1000, TRIES = 3 };

/* Times */

static bool read_when(const json_t *args, const char *name, struct when *ret_when,
                      struct result *result)
{
    if (when_parse(js_str(args, name, ""), ret_when) == ERR_OK)
        return true;
    result_fail(result,
                "\"%s\" must be a day such as 2025-01-31 (an event of whole days), or a time such "
                "as 2025-01-31T09:00:00+01:00, or 2025-01-31T09:00:00 on the calendar's clock.",
                name);
    return false;
}

/* What Calendar takes as a start or end. */
static json_t *when_json(const struct calendar_clock *clock, const struct when *when)
{
    if (when->kind == WHEN_DAY)
        return json_pack("{s:s,s:n,s:n}", "date", when->text, "dateTime", "timeZone");
    json_t *json = json_pack("{s:n,s:s}", "date", "dateTime", when->text);
    if (when->kind == WHEN_LOCAL)
        json_object_set_new(json, "timeZone", json_string(clock->zone));
    return json;
}

/* Start before end, both days or both times; a day that ends where it begins is one day. */
static bool check_order(struct calendar_clock *clock, const struct when *start, struct when *end,
                        struct result *result)
{
    int64_t from = 0, to = 0;
    char why[API_WHY_SIZE] = "";
    struct when next;
    if ((start->kind == WHEN_DAY) != (end->kind == WHEN_DAY)) {
        result_fail(result, "\"startTime\" and \"endTime\" must both be days or both be times.");
        return false;
    }
    if (start->kind == WHEN_DAY && strcmp(start->text, end->text) == 0) {
        when_next_day(end, &next);
        *end = next;
    }
    if (start->kind == WHEN_DAY) {
        if (strcmp(start->text, end->text) < 0)
            return true;
    } else if (clock_ms(clock, start, &from, why) != ERR_OK ||
               clock_ms(clock, end, &to, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return false;
    } else if (from <= to) {
        return true;
    }
    result_fail(result, "\"startTime\" must be before \"endTime\".");
    return false;
}

/* Guests */

/* The addresses of the argument; NULL: none are given (or the result is an error). */
static json_t *read_guests(const json_t *args, struct result *result)
{
    char bad[ADDRESS_SIZE] = "";
    const json_t *given = json_object_get(args, "attendees");
    if (!given)
        return NULL;
    json_t *list = addresses_read(given, bad);
    if (!list && *bad)
        result_fail(result, "\"attendees\": \"%s\" is not an email address.", bad);
    else if (!list)
        result_fail(result, "\"attendees\": an event can have at most %d guests here.",
                    ADDRESSES_MAX);
    return list;
}

/* As Calendar has them, which takes the list as a whole; who was invited before keeps what is known
 * of them: the answer, name, note, companions, whether they are optional. */
static json_t *guest_json(const json_t *addresses, const json_t *before)
{
    size_t i, j;
    json_t *address, *known, *list = json_array();
    json_array_foreach(addresses, i, address)
    {
        json_t *guest = json_pack("{s:O}", "email", address);
        json_array_foreach(before, j, known)
        {
            if (strcasecmp(js_str(known, "email", ""), json_string_value(address)) == 0)
                json_object_update(guest, known);
        }
        json_array_append_new(list, guest);
    }
    return list;
}

static void set_texts(json_t *event, const json_t *args)
{
    static const char *const names[] = {"summary", "location", "description"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(args, names[i]))
            json_object_set(event, names[i], json_object_get(args, names[i]));
}

static void tell(const char *said, const json_t *event, struct result *result)
{
    buf_printf(&result->text, "%s: ", said);
    result->structured = event_tell(event, &result->text);
}

/* calendar_create_event_with_invitations */

/* An id of our own makes a repeated request harmless: base32hex, as Calendar wants it. */
static void make_id(char id[NEW_ID_SIZE])
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    uint8_t random[NEW_ID_SIZE - 1];
    crypto_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        id[i] = letters[random[i] % 32];
    id[NEW_ID_SIZE - 1] = '\0';
}

static enum err get_event(struct api *api, const char *id, json_t **ret_event, char *ret_why)
{
    AUTOFREE char *path = mem_printf("%s/%s", CALENDAR_EVENTS, id);
    struct api_request request = {
        .host = API_CALENDAR, .path = path, .query = "fields=" EVENT_WHOLE_FIELDS};
    return api_call(api, &request, ret_event, ret_why);
}

static enum err insert(struct api *api, json_t *event, bool invite, json_t **ret_event,
                       char *ret_why)
{
    char id[NEW_ID_SIZE];
    make_id(id);
    json_object_set_new(event, "id", json_string(id));
    struct api_request request = {.method = "POST",
                                  .host = API_CALENDAR,
                                  .path = CALENDAR_EVENTS,
                                  .query = invite ? "sendUpdates=all&fields=" EVENT_FIELDS
                                                  : "sendUpdates=none&fields=" EVENT_FIELDS,
                                  .body = event,
                                  .repeatable = true};
    enum err err = api_call(api, &request, ret_event, ret_why);
    /* There already: the first answer was lost. */
    return err == ERR_CONFLICT ? get_event(api, id, ret_event, ret_why) : err;
}

void calendar_create_event_with_invitations(struct api *api, const json_t *args,
                                            struct result *result)
{
    struct calendar_clock clock = {.api = api};
    struct when start, end;
    char why[API_WHY_SIZE] = "";
    bool invite = js_bool(args, "send_invitations", true);
    AUTOJSON json_t *made = NULL, *event = json_object();
    if (!read_when(args, "startTime", &start, result) ||
        !read_when(args, "endTime", &end, result) || !check_order(&clock, &start, &end, result))
        return;
    AUTOJSON json_t *guests = read_guests(args, result);
    if (result->error)
        return;
    set_texts(event, args);
    json_object_set_new(event, "start", when_json(&clock, &start));
    json_object_set_new(event, "end", when_json(&clock, &end));
    if (json_array_size(guests))
        json_object_set_new(event, "attendees", guest_json(guests, NULL));
    if (insert(api, event, invite, &made, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    tell("Created the event", made, result);
    if (json_array_size(guests))
        buf_add_str(&result->text, invite ? "Invitations were sent.\n" : "No invitations sent.\n");
}

/* calendar_update_event */

/* The event's own start or end. */
static bool stored_when(const json_t *event, const char *key, struct when *ret_when)
{
    const json_t *when = json_object_get(event, key);
    return when_parse(js_str(when, "dateTime", js_str(when, "date", "")), ret_when) == ERR_OK;
}

/* The new end of an event that only gets a new start: it lasts as long as before. */
static bool keep_length(struct calendar_clock *clock, const json_t *event, const struct when *start,
                        struct when *ret_end)
{
    struct when old_start, old_end;
    int64_t begun = 0, ended = 0, begins = 0;
    char why[API_WHY_SIZE], text[WHEN_TEXT_SIZE];
    if (!stored_when(event, "start", &old_start) || !stored_when(event, "end", &old_end) ||
        (old_start.kind == WHEN_DAY) != (start->kind == WHEN_DAY) ||
        clock_ms(clock, &old_start, &begun, why) != ERR_OK ||
        clock_ms(clock, &old_end, &ended, why) != ERR_OK ||
        clock_ms(clock, start, &begins, why) != ERR_OK)
        return false;
    if (start->kind != WHEN_DAY) {
        clock_text(clock, begins + ended - begun, text);
        return when_parse(text, ret_end) == ERR_OK;
    }
    *ret_end = *start;
    for (int64_t days = (ended - begun + DAY_MS / 2) / DAY_MS; days > 0; days--) {
        struct when next;
        when_next_day(ret_end, &next);
        *ret_end = next;
    }
    return true;
}

/* Sets the change's start and end. */
static bool set_times(struct calendar_clock *clock, const json_t *event, const json_t *args,
                      json_t *change, struct result *result)
{
    bool new_start = json_object_get(args, "startTime"), new_end = json_object_get(args, "endTime");
    struct when start, end;
    if (!new_start && !new_end)
        return true;
    if ((new_start && !read_when(args, "startTime", &start, result)) ||
        (new_end && !read_when(args, "endTime", &end, result)))
        return false;
    bool known = (new_start || stored_when(event, "start", &start)) &&
                 (new_end || keep_length(clock, event, &start, &end));
    if (!known) {
        result_fail(result,
                    "Give both \"startTime\" and \"endTime\": the event has none that fit.");
        return false;
    }
    if (!check_order(clock, &start, &end, result))
        return false;
    json_object_set_new(change, "start", when_json(clock, &start));
    json_object_set_new(change, "end", when_json(clock, &end));
    return true;
}

static enum err patch(struct api *api, const char *id, const json_t *change, const char *etag,
                      json_t **ret_event, char *ret_why)
{
    AUTOFREE char *path = mem_printf("%s/%s", CALENDAR_EVENTS, id);
    struct api_request request = {.method = "PATCH",
                                  .host = API_CALENDAR,
                                  .path = path,
                                  .query = "sendUpdates=all&fields=" EVENT_FIELDS,
                                  .body = change,
                                  .if_match = etag,
                                  .repeatable = true};
    return api_call(api, &request, ret_event, ret_why);
}

/* Reads the event and changes what it read; ERR_CONFLICT: it was changed in between. */
static enum err update_once(struct calendar_clock *clock, const char *id, const json_t *args,
                            const json_t *guests, struct result *result, char *ret_why)
{
    AUTOJSON json_t *event = NULL, *changed = NULL, *change = json_object();
    enum err err = get_event(clock->api, id, &event, ret_why);
    if (err)
        return err;
    if (strcmp(js_str(event, "status", ""), "cancelled") == 0) {
        snprintf(ret_why, API_WHY_SIZE, "The event has been deleted.");
        return ERR_NOT_FOUND;
    }
    set_texts(change, args);
    if (guests)
        json_object_set_new(change, "attendees",
                            guest_json(guests, json_object_get(event, "attendees")));
    if (!set_times(clock, event, args, change, result))
        return ERR_OK;
    err = patch(clock->api, id, change, js_str(event, "etag", NULL), &changed, ret_why);
    if (!err)
        tell("Changed the event", changed, result);
    return err;
}

/* Ids of events that came from other programs are long (at most 1024 characters). */
static bool event_id(const json_t *args, struct result *result)
{
    const char *id = js_str(args, "event_id", "");
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    if (len > 0 && !id[len])
        return true;
    result_fail(result, "\"event_id\" is not the id of an event: take it from the list of events.");
    return false;
}

void calendar_update_event(struct api *api, const json_t *args, struct result *result)
{
    struct calendar_clock clock = {.api = api};
    char why[API_WHY_SIZE] = "";
    if (!event_id(args, result))
        return;
    if (json_object_size(args) < 2) {
        result_fail(result, "Nothing is to be changed: give at least one of summary, startTime, "
                            "endTime, attendees, location, description.");
        return;
    }
    AUTOJSON json_t *guests = read_guests(args, result);
    if (result->error)
        return;
    enum err err = ERR_CONFLICT;
    for (int i = 0; i < TRIES && err == ERR_CONFLICT; i++)
        err = update_once(&clock, js_str(args, "event_id", ""), args, guests, result, why);
    if (err)
        result_fail(result, "%s", why);
}

/* calendar_delete_event */

static bool is_cancelled(const json_t *event)
{
    return strcmp(js_str(event, "status", ""), "cancelled") == 0;
}

/* It may be that the first answer was lost, and the repeated request found it deleted. */
static bool is_deleted(struct api *api, const char *id)
{
    char why[API_WHY_SIZE] = "";
    AUTOJSON json_t *event = NULL;
    enum err err = get_event(api, id, &event, why);
    return err == ERR_NOT_FOUND || (!err && is_cancelled(event));
}

void calendar_delete_event(struct api *api, const json_t *args, struct result *result)
{
    char why[API_WHY_SIZE] = "";
    const char *id = js_str(args, "event_id", "");
    AUTOJSON json_t *event = NULL, *nothing = NULL;
    if (!event_id(args, result))
        return;
    enum err err = get_event(api, id, &event, why);
    if (!err && is_cancelled(event)) {
        result_fail(result, "The event has been deleted already.");
        return;
    }
    AUTOFREE char *path = mem_printf("%s/%s", CALENDAR_EVENTS, id);
    struct api_request request = {
        .method = "DELETE", .host = API_CALENDAR, .path = path, .query = "sendUpdates=all"};
    if (!err)
        err = api_call(api, &request, &nothing, why);
    if (err && !(event && err == ERR_NOT_FOUND && is_deleted(api, id))) {
        result_fail(result, "%s", why);
        return;
    }
    json_object_set_new(event, "status", json_string("cancelled"));
    tell("Deleted the event", event, result);
}
