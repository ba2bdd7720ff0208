/* Histories: gathered within their bounds, and read whatever they hold. */
#include "tests/unit/agent_fixture.h"

static void add(json_t *history, const char *type, json_t *data)
{
    AUTOJSON json_t *event = json_pack("{s:s, s:o}", "type", type, "data", data);
    history_add(history, event);
}

static void add_call(json_t *history, const char *id, const char *name, int turn)
{
    json_t *data = json_pack("{s:s, s:s, s:{}}", "id", id, "name", name, "arguments");
    if (turn)
        json_object_set_new(data, "turn", json_integer(turn));
    add(history, "tool_call", data);
}

static void add_result(json_t *history, const char *id, const char *text)
{
    add(history, "tool_result",
        json_pack("{s:s, s:s, s:s}", "id", id, "name", "x", "content", text));
}

static void a_huge_history_is_bounded(void **state)
{
    (void)state;
    AUTOJSON json_t *history = json_array();
    struct history_past past;
    char *text = mem_alloc((16 << 10) + 1);
    memset(text, 'x', 16 << 10);
    for (int i = 0; i < 2500; i++) {
        char id[16];
        snprintf(id, sizeof id, "c%d", i);
        add_call(history, id, "s__a", i + 1);
        add_result(history, id, text);
        add(history, "progress", json_object());
    }
    assert_true(js_dump_size(history) < HISTORY_BYTES_MAX + (1 << 20));
    assert_true(json_array_size(history) <= HISTORY_EVENTS_MAX);
    history_rebuild(history, &past);
    AUTOJSON json_t *request = json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "messages", "role",
                                         "system", "content", "s", "role", "user", "content", "u");
    json_array_extend(json_object_get(request, "messages"), past.messages);
    assert_conversation(request);
    assert_null(past.open);
    assert_int_equal(past.turns, 2500);
    assert_int_equal(past.dropped + json_array_size(past.messages) / 2, 2500);
    const json_t *newest = json_array_get(past.messages, json_array_size(past.messages) - 1);
    assert_int_equal(strlen(js_str(newest, "content", "")), 16 << 10);
    assert_true(strlen(js_str(json_array_get(past.messages, 1), "content", "")) < 400);
    history_past_fini(&past);
    free(text);
}

/* Events of the version before had no turns, began anew in each attempt, and marked what they had
 * answered from the record. */
static void events_of_an_older_version(void **state)
{
    (void)state;
    AUTOJSON json_t *history = json_array();
    struct history_past past;
    add_call(history, "1", "s__a", 0);
    add_call(history, "2", "s__b", 0);
    add_result(history, "1", "ra");
    add_result(history, "2", "rb");
    add(history, "tool_call",
        json_pack("{s:s, s:s, s:{}, s:b}", "id", "1", "name", "s__a", "arguments", "replayed", 1));
    add(history, "tool_result",
        json_pack("{s:s, s:s, s:b}", "id", "1", "content", "no", "replayed", 1));
    add_call(history, "1", "s__c", 0);
    history_rebuild(history, &past);
    assert_int_equal(json_array_size(past.messages), 4);
    assert_string_equal(js_str(json_array_get(past.messages, 1), "content", ""), "ra");
    assert_string_equal(js_str(json_array_get(past.messages, 2), "content", ""), "rb");
    assert_int_equal(json_array_size(past.open), 1);
    assert_string_equal(js_str(json_array_get(past.open, 0), "name", ""), "s__c");
    assert_int_equal(past.turns, 2);
    history_past_fini(&past);
}

static json_t *any_value(uint64_t *seed)
{
    static const char *const values[] = {"null", "7",  "\"1\"", "\"s__a\"", "[]",  "{}",
                                         "true", "-1", "[1]",   "\"\"",     "1.5", "{\"a\": []}"};
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return json_loads(values[(*seed >> 33) % (sizeof values / sizeof *values)], JSON_DECODE_ANY,
                      NULL);
}

/* Each member there or not, and of any type. */
static json_t *any_event(uint64_t *seed)
{
    static const char *const types[] = {"message",          "tool_call", "tool_result",
                                        "waiting_approval", "approval",  "status"};
    static const char *const members[] = {"id",    "name",     "arguments", "turn",     "content",
                                          "calls", "decision", "text",      "call_ids", "usage"};
    json_t *data = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        if ((*seed >> 33) % 3)
            json_object_set_new(data, members[i], any_value(seed));
    }
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return json_pack("{s:s, s:o}", "type", types[(*seed >> 33) % 6], "data", data);
}

static void nonsense_is_read(void **state)
{
    static const char *const answers[] = {TEXT("ok"), NULL};
    (void)state;
    for (uint64_t n = 1; n <= 500; n++) {
        uint64_t seed = n;
        AUTOJSON json_t *history = json_array();
        for (int i = 0; i < 30; i++) {
            AUTOJSON json_t *event = any_event(&seed);
            history_add(history, event);
        }
        struct script script;
        script_init(&script, answers);
        script.task.history = history;
        AUTOJSON json_t *end = script_run(&script);
        assert_non_null(end);
        assert_conversations(&script);
        script_fini(&script);
    }
    struct history_past past;
    for (int i = 0; i < 12; i++) {
        uint64_t seed = (uint64_t)i;
        AUTOJSON json_t *value = any_value(&seed);
        history_rebuild(value, &past);
        assert_null(past.open);
        history_past_fini(&past);
    }
    history_rebuild(NULL, &past);
    assert_int_equal(json_array_size(past.messages), 0);
    history_past_fini(&past);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_huge_history_is_bounded),
        cmocka_unit_test(events_of_an_older_version),
        cmocka_unit_test(nonsense_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
