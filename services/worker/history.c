#include "services/worker/history.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_message.h"
#include "services/worker/agent_tools.h"

enum { SHOWN_MAX = 256, TEXT_MAX = 20 << 10, EVENT_MAX = 256 << 10 };

const char history_unknown_outcome[] =
    "This call was made, and the run was interrupted before the answer was recorded. It is unknown "
    "whether the tool acted. The call was not repeated: find out by other means, or say in your "
    "answer that this is not known.";

/* Gathering. The first entry is the head {bytes, shortened, dropped}: `shortened` is the index up
 * to which results are shortened already. */

static json_t *head_of(json_t *history)
{
    if (!json_array_size(history))
        json_array_append_new(
            history, json_pack("{s:i, s:i, s:i}", "bytes", 0, "shortened", 1, "dropped", 0));
    return json_array_get(history, 0);
}

static void set(json_t *head, const char *key, int64_t value)
{
    json_object_set_new(head, key, json_integer(value));
}

static bool is_type(const json_t *event, const char *type)
{
    return strcmp(js_str(event, "type", ""), type) == 0;
}

static int64_t shorten_result(json_t *event)
{
    json_t *data = json_object_get(event, "data");
    const char *text = js_str(data, "content", "");
    size_t before = js_dump_size(event);
    if (!is_type(event, "tool_result") || strlen(text) <= SHOWN_MAX + 64)
        return 0;
    json_object_set_new(
        data, "content",
        js_string_capped(text, strlen(text), SHOWN_MAX, "\n[cut, to make room for later results]"));
    size_t after = js_dump_size(event);
    return before > after ? (int64_t)(before - after) : 0;
}

static void drop_oldest(json_t *history, json_t *head)
{
    const json_t *event = json_array_get(history, 1);
    if (is_type(event, "tool_call"))
        set(head, "dropped", js_int(head, "dropped", 0) + 1);
    set(head, "bytes", js_int(head, "bytes", 0) - (int64_t)js_dump_size(event));
    set(head, "shortened", js_int(head, "shortened", 1) - 1);
    json_array_remove(history, 1);
}

static void make_room(json_t *history, json_t *head)
{
    while (js_int(head, "bytes", 0) > HISTORY_BYTES_MAX) {
        int64_t at = js_int(head, "shortened", 1), bytes = js_int(head, "bytes", 0);
        if (at < (int64_t)json_array_size(history)) {
            set(head, "bytes", bytes - shorten_result(json_array_get(history, (size_t)at)));
            set(head, "shortened", at + 1);
        } else if (json_array_size(history) > 1) {
            drop_oldest(history, head);
        } else {
            return;
        }
    }
    while (json_array_size(history) > HISTORY_EVENTS_MAX)
        drop_oldest(history, head);
}

void history_add(json_t *history, const json_t *event)
{
    static const char *const types[] = {"message", "tool_call", "tool_result", "waiting_approval",
                                        "approval"};
    json_t *data = json_object_get(event, "data");
    size_t i = 0, count = sizeof types / sizeof *types, size = js_dump_size(data);
    while (i < count && !is_type(event, types[i]))
        i++;
    if (i == count || !json_is_object(data) || size > EVENT_MAX)
        return;
    json_t *head = head_of(history);
    AUTOJSON json_t *copy = json_copy(data); /* results may be shortened */
    json_object_del(copy, "timestamp");
    json_array_append_new(history, json_pack("{s:s, s:O}", "type", types[i], "data", copy));
    set(head, "bytes", js_int(head, "bytes", 0) + (int64_t)size + 64);
    make_room(history, head);
}

/* Reading. A turn: {turn, text, answered, calls: […]}. */

struct reader {
    json_t *turns;
    const char *text; /* of the model, before its calls */
    struct history_past *past;
};

static json_t *last_turn(const struct reader *reader)
{
    size_t count = json_array_size(reader->turns);
    return count ? json_array_get(reader->turns, count - 1) : NULL;
}

static json_t *find_call(const json_t *turn, const char *id)
{
    size_t index;
    json_t *call;
    json_array_foreach(json_object_get(turn, "calls"), index,
                       call) if (strcmp(js_str(call, "id", ""), id) == 0) return call;
    return NULL;
}

/* The turn that a call belongs to: events of older versions have no number for it. */
static json_t *turn_for(struct reader *reader, int64_t number)
{
    json_t *last = last_turn(reader);
    bool same = number ? js_int(last, "turn", -1) == number
                       : !js_bool(last, "answered", true) && !reader->text;
    if (last && same)
        return last;
    json_t *turn = json_pack("{s:I, s:s, s:b, s:[]}", "turn", (json_int_t)number, "text",
                             reader->text ? reader->text : "", "answered", 0, "calls");
    reader->text = NULL;
    json_array_append_new(reader->turns, turn);
    if (number > reader->past->turns)
        reader->past->turns = number;
    return turn;
}

static void read_call(struct reader *reader, const json_t *data, int64_t number, const char *state)
{
    const char *id = js_str(data, "id", "");
    json_t *arguments = json_object_get(data, "arguments");
    /* What an older version answered from the record was not done again. */
    if (!arguments || js_bool(data, "replayed", false))
        return;
    json_t *turn = turn_for(reader, number), *known = find_call(turn, id);
    json_t *calls = json_object_get(turn, "calls");
    if (known) {
        if (!json_object_get(known, "content"))
            json_object_set_new(known, "state", json_string(state));
        return;
    }
    if (json_array_size(calls) == HISTORY_CALLS_MAX)
        return;
    json_array_append_new(calls, json_pack("{s:s, s:s, s:O, s:s}", "id", id, "name",
                                           js_str(data, "name", ""), "arguments", arguments,
                                           "state", state));
    if (strcmp(js_str(data, "name", ""), AGENT_SEARCH_TOOL) == 0)
        json_array_append(reader->past->searches, arguments);
}

static void read_usage(struct reader *reader, const json_t *data)
{
    json_t *usage = json_object_get(data, "usage");
    if (!json_is_object(usage))
        return;
    json_decref(reader->past->usage);
    reader->past->usage = json_incref(usage);
}

/* Ids may come again in a later turn: the answer belongs to the newest call without one. */
static void read_result(struct reader *reader, const json_t *data)
{
    const char *id = js_str(data, "id", ""), *text = js_str(data, "content", "");
    if (js_bool(data, "replayed", false))
        return;
    for (size_t i = json_array_size(reader->turns); i-- > 0;) {
        json_t *turn = json_array_get(reader->turns, i), *call = find_call(turn, id);
        if (!call)
            continue;
        json_object_set_new(turn, "answered", json_true());
        if (!json_object_get(call, "content")) {
            json_object_set_new(call, "content",
                                js_string_capped(text, strlen(text), TEXT_MAX, "\n[cut]"));
            json_object_set_new(call, "is_error", json_boolean(js_bool(data, "is_error", false)));
        }
        return;
    }
}

static void read_waiting(struct reader *reader, const json_t *data)
{
    size_t index;
    const json_t *call;
    json_array_foreach(json_object_get(data, "calls"), index, call)
        read_call(reader, call, js_int(data, "turn", 0), HISTORY_PENDING);
}

static bool names(const json_t *ids, const char *id)
{
    size_t index;
    const json_t *one;
    json_array_foreach(ids, index, one) if (json_is_string(one) &&
                                            strcmp(json_string_value(one), id) == 0) return true;
    return false;
}

/* Only a plain yes approves. */
static void read_approval(struct reader *reader, const json_t *data)
{
    const char *decision = js_str(data, "decision", "");
    bool yes = strcmp(decision, "approve") == 0 || strcmp(decision, "approved") == 0;
    const json_t *ids = json_object_get(data, "call_ids");
    size_t index;
    json_t *call;
    json_array_foreach(json_object_get(last_turn(reader), "calls"), index, call)
    {
        if (strcmp(js_str(call, "state", ""), HISTORY_PENDING) != 0)
            continue;
        bool approved = yes && (!ids || json_is_null(ids) || names(ids, js_str(call, "id", "")));
        json_object_set_new(call, "state",
                            json_string(approved ? HISTORY_APPROVED : HISTORY_DENIED));
        const char *reason = js_str(data, "reason", "");
        if (!approved && *reason)
            json_object_set_new(call, "reason",
                                js_string_capped(reason, strlen(reason), 2048, "…"));
    }
}

static void read_event(struct reader *reader, const json_t *event)
{
    const json_t *data = json_object_get(event, "data");
    if (is_type(event, "message")) {
        reader->text = js_str(data, "text", NULL);
        read_usage(reader, data);
    } else if (is_type(event, "tool_call")) {
        read_call(reader, data, js_int(data, "turn", 0), HISTORY_CALLED);
        read_usage(reader, data);
    } else if (is_type(event, "tool_result")) {
        read_result(reader, data);
    } else if (is_type(event, "waiting_approval")) {
        read_waiting(reader, data);
        read_usage(reader, data);
    } else if (is_type(event, "approval")) {
        read_approval(reader, data);
    }
}

static bool is_open(const json_t *turn)
{
    size_t index;
    const json_t *call;
    json_array_foreach(json_object_get(turn, "calls"), index,
                       call) if (!json_object_get(call, "content")) return true;
    return false;
}

static void tell_turn(const json_t *turn, bool open, json_t *messages)
{
    json_t *calls = json_array();
    size_t index;
    const json_t *call;
    json_array_foreach(json_object_get(turn, "calls"), index, call) json_array_append_new(
        calls, agent_message_call(js_str(call, "id", ""), js_str(call, "name", ""),
                                  json_object_get(call, "arguments")));
    json_array_append_new(messages, agent_message_calls(js_str(turn, "text", ""), calls));
    if (open)
        return;
    json_array_foreach(json_object_get(turn, "calls"), index, call) json_array_append_new(
        messages, agent_message_result(js_str(call, "id", ""),
                                       js_str(call, "content", history_unknown_outcome)));
}

void history_rebuild(const json_t *history, struct history_past *ret_past)
{
    AUTOJSON json_t *turns = json_array();
    struct reader reader = {.turns = turns, .past = ret_past};
    size_t index;
    const json_t *event, *turn;
    *ret_past = (struct history_past){.messages = json_array(), .searches = json_array()};
    json_array_foreach(history, index, event) read_event(&reader, event);
    json_t *last = last_turn(&reader);
    bool open = is_open(last);
    json_array_foreach(turns, index, turn)
        tell_turn(turn, open && turn == last, ret_past->messages);
    if (open)
        ret_past->open = json_incref(json_object_get(last, "calls"));
    int64_t dropped = js_int(json_array_get(history, 0), "dropped", 0);
    ret_past->dropped = dropped > 0 ? (size_t)dropped : 0;
    if (ret_past->turns < (int64_t)json_array_size(turns))
        ret_past->turns = (int64_t)json_array_size(turns);
}

void history_past_fini(struct history_past *past)
{
    json_decref(past->messages);
    json_decref(past->open);
    json_decref(past->usage);
    json_decref(past->searches);
    *past = (struct history_past){0};
}
