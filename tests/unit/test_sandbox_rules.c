/* The sandbox's rules: which tools a message asks for, what is answered, which failures it tells.
 */
#include "tests/unit/unit.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/faults.h"
#include "services/sandbox/openai.h"
#include "services/sandbox/rules.h"

#define NOW_MS INT64_C(1800000000000)

static json_t *tools(void)
{
    static const char *const NAMES[] = {"google__gmail_list_messages",
                                        "google__gmail_list_labels",
                                        "google__gmail_read_message_without_attachments",
                                        "google__drive_list_all_files",
                                        "google__drive_search",
                                        "google__calendar_list_events",
                                        "google__calendar_create_event_with_invitations",
                                        "everything__echo",
                                        "everything__get-sum",
                                        "fs__list_directory"};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:{s:s, s:{s:s}}}", "type", "function", "function",
                                        "name", NAMES[i], "parameters", "type", "object"));
    return list;
}

/* "NAME ARGUMENTS; NAME ARGUMENTS; " of the calls that the message asks for. */
static char *plan(const char *message)
{
    AUTOJSON json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", message);
    AUTOJSON json_t *offered = tools();
    AUTOJSON json_t *calls = rules_calls(messages, offered, NOW_MS, false);
    struct buf out;
    size_t i;
    const json_t *call;
    buf_init(&out, 1 << 20);
    json_array_foreach(calls, i, call)
        buf_printf(&out, "%s %s; ", js_str(call, "name", ""), js_str(call, "arguments", ""));
    return buf_steal(&out);
}

static void assert_plan(const char *message, const char *expected)
{
    AUTOFREE char *actual = plan(message);
    assert_string_equal(actual, expected);
}

static void test_tools_by_words(void **state)
{
    (void)state;
    assert_plan("List my recent emails", "google__gmail_list_messages {\"max_results\":5}; ");
    assert_plan("show the 3 newest messages", "google__gmail_list_messages {\"max_results\":3}; ");
    assert_plan("which labels are there?", "google__gmail_list_labels {}; ");
    assert_plan("what files do I have", "google__drive_list_all_files {\"max_results\":10}; ");
    assert_plan("search my drive for the \"old plan\".",
                "google__drive_search {\"query\":\"the \\\"old plan\"}; ");
    assert_plan("search my inbox for invoices",
                "google__gmail_list_messages {\"max_results\":5,\"query\":\"invoices\"}; ");
    assert_plan("echo hello, you", "everything__echo {\"message\":\"hello, you\"}; ");
    assert_plan("please add 2 and 40.5", "everything__get-sum {\"a\":2,\"b\":40.5}; ");
    assert_plan("list the directory /tmp/x.", "fs__list_directory {\"path\":\"/tmp/x\"}; ");
    assert_plan("Good morning", "");
    assert_plan("", "");
}

static void test_calendar_covers_a_week(void **state)
{
    (void)state;
    assert_plan("any meetings?",
                "google__calendar_list_events {\"timeMin\":\"2027-01-15T08:00:00.000Z\","
                "\"timeMax\":\"2027-01-22T08:00:00.000Z\"}; ");
}

static void test_several_at_once(void **state)
{
    (void)state;
    assert_plan("my emails and my files", "google__gmail_list_messages {\"max_results\":5}; "
                                          "google__drive_list_all_files {\"max_results\":10}; ");
}

static void test_use_tool(void **state)
{
    (void)state;
    assert_plan("use tool everything__echo with {\"message\": \"a } b\"}\n"
                "use tool get-sum with {\"a\":\n1}",
                "everything__echo {\"message\":\"a } b\"}; everything__get-sum {\"a\":1}; ");
    assert_plan("use tool echo", "everything__echo {}; ");
    assert_plan("use tool echo with {broken", "everything__echo {broken; ");
    assert_plan("use tool nowhere with {}", "");
    assert_plan("use tool ", "");
}

static void add_turn(json_t *messages, const char *result)
{
    json_array_append_new(messages,
                          json_pack("{s:s, s:n, s:[{s:s, s:s, s:{s:s, s:s}}]}", "role", "assistant",
                                    "content", "tool_calls", "id", "c", "type", "function",
                                    "function", "name", "x", "arguments", "{}"));
    json_array_append_new(messages, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id",
                                              "c", "content", result));
}

/* "NAME; " of each call of a turn, "| " behind each turn. */
static char *plan_turns(const char *message, const char *result)
{
    AUTOJSON json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", message);
    AUTOJSON json_t *offered = tools();
    struct buf out;
    size_t i, count = 1;
    buf_init(&out, 1 << 20);
    for (int turn = 0; turn < 6 && count; turn++) {
        AUTOJSON json_t *calls = rules_calls(messages, offered, NOW_MS, false);
        const json_t *call;
        json_array_foreach(calls, i, call) buf_printf(&out, "%s; ", js_str(call, "name", ""));
        buf_add_str(&out, "| ");
        add_turn(messages, result);
        count = json_array_size(calls);
    }
    return buf_steal(&out);
}

static void test_tools_in_turns(void **state)
{
    (void)state;
    AUTOFREE char *turns = plan_turns("use tool echo with {}\nand use tool get-sum\nthen use tool "
                                      "echo\nthen really use tool nowhere with {}\n"
                                      "really use tool get-sum",
                                      "ok");
    assert_string_equal(turns, "everything__echo; everything__get-sum; | everything__echo; | "
                               "nowhere; everything__get-sum; | | ");
    AUTOFREE char *mail =
        plan_turns("Find the mail about the dentist appointment and put it into my calendar.",
                   "{\"id\": \"0123456789abcdef\"}");
    assert_string_equal(mail, "google__gmail_list_messages; google__calendar_list_events; | "
                              "google__gmail_read_message_without_attachments; | "
                              "google__calendar_create_event_with_invitations; | | ");
    AUTOFREE char *none =
        plan_turns("Find the mail about x and put it into my calendar", "nothing");
    assert_string_equal(none, "google__gmail_list_messages; google__calendar_list_events; | | ");
}

static void test_number_of_calls_is_bounded(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 200; i++)
        buf_add_str(&text, "use tool echo\n");
    AUTOJSON json_t *messages =
        json_pack("[{s:s, s:s}]", "role", "user", "content", buf_text(&text));
    AUTOJSON json_t *offered = tools();
    AUTOJSON json_t *calls = rules_calls(messages, offered, NOW_MS, false);
    assert_int_equal(json_array_size(calls), RULES_CALLS_MAX);
    buf_fini(&text);
}

static json_t *after_list(const char *result)
{
    return json_pack("[{s:s, s:s}, {s:s, s:n, s:[{s:s, s:s, s:{s:s, s:s}}]}, {s:s, s:s, s:s}]",
                     "role", "user", "content", "Read the first email", "role", "assistant",
                     "content", "tool_calls", "id", "c1", "type", "function", "function", "name",
                     "google__gmail_list_messages", "arguments", "{}", "role", "tool",
                     "tool_call_id", "c1", "content", result);
}

static void test_reads_the_first_mail_of_the_list(void **state)
{
    (void)state;
    AUTOJSON json_t *messages = after_list("[{\"id\": \"191a28d0f983cc79\", \"subject\": \"S\"}]");
    AUTOJSON json_t *offered = tools();
    AUTOJSON json_t *calls = rules_calls(messages, offered, NOW_MS, false);
    assert_int_equal(json_array_size(calls), 1);
    assert_string_equal(js_str(json_array_get(calls, 0), "arguments", ""),
                        "{\"message_id\":\"191a28d0f983cc79\"}");
    AUTOJSON json_t *none = after_list("no mails");
    AUTOJSON json_t *no_calls = rules_calls(none, offered, NOW_MS, false);
    assert_int_equal(json_array_size(no_calls), 0);
}

static void test_answer_quotes_results(void **state)
{
    (void)state;
    AUTOJSON json_t *messages =
        after_list("[{\"id\": \"1\", \"subject\": \"Lunch on Thursday?\"}]");
    AUTOFREE char *answer = rules_answer(messages);
    assert_non_null(strstr(answer, "Lunch on Thursday?"));
    assert_non_null(strstr(answer, "google__gmail_list_messages"));
    AUTOJSON json_t *plain = after_list("Subject: Hi\n\nBody");
    AUTOFREE char *lines = rules_answer(plain);
    assert_non_null(strstr(lines, "Subject: Hi\nBody\n"));
}

static void test_answer_is_bounded(void **state)
{
    (void)state;
    AUTOFREE char *huge = mem_alloc(100001);
    memset(huge, 'x', 100000);
    AUTOJSON json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", huge);
    AUTOFREE char *answer = rules_answer(messages);
    assert_true(strlen(answer) <= RULES_ANSWER_MAX);
    AUTOJSON json_t *with_tool = after_list(huge);
    AUTOFREE char *quoted = rules_answer(with_tool);
    assert_true(strlen(quoted) <= RULES_ANSWER_MAX);
}

static void test_loop_calls_for_ever(void **state)
{
    (void)state;
    AUTOJSON json_t *messages = after_list("x");
    AUTOJSON json_t *offered = tools();
    AUTOJSON json_t *calls = rules_calls(messages, offered, NOW_MS, true);
    assert_true(json_array_size(calls) > 0);
}

static void test_faults(void **state)
{
    (void)state;
    struct faults *faults = faults_new();
    assert_int_equal(faults_take(faults, "a [sandbox:429x2] b", NULL).status, 429);
    assert_int_equal(faults_take(faults, "a [sandbox:429x2] b", NULL).status, 429);
    assert_int_equal(faults_take(faults, "a [sandbox:429x2] b", NULL).status, 0);
    assert_int_equal(faults_take(faults, "other [sandbox:429x2]", NULL).status, 429);
    assert_int_equal(faults_take(faults, "[sandbox:500]", NULL).status, 500);
    assert_true(faults_take(faults, "", "quota").quota);
    assert_int_equal(faults_take(faults, "[sandbox:slow=1.5]", NULL).slow_ms, 1500);
    assert_int_equal(faults_take(faults, "[sandbox:slow=nan]", NULL).slow_ms, 600000);
    struct fault both = faults_take(faults, "[sandbox:cut][sandbox:slow=2]", "loop, garbage");
    assert_true(both.cut && both.loop && both.garbage && both.slow_ms == 2000);
    assert_int_equal(faults_take(faults, "[sandbox:200] [sandbox:] [sandbox:", NULL).status, 0);
    faults_destroy(&faults);
}

static bool accepts(const char *text)
{
    struct openai_fault fault;
    json_t *request = NULL;
    assert_int_equal(js_parse(text, strlen(text), &request, NULL), ERR_OK);
    bool fine = openai_check(request, &fault);
    json_decref(request);
    return fine;
}

#define CALLS(id)                                                                           \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id "\",\"type\":" \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"r\"}"
#define USER "{\"role\":\"user\",\"content\":\"u\"}"
#define REQUEST(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"

static void test_requests_are_checked(void **state)
{
    (void)state;
    assert_true(accepts(REQUEST(USER)));
    assert_true(accepts(REQUEST(USER "," CALLS("a") "," RESULT("a"))));
    assert_false(accepts(REQUEST("")));
    assert_false(accepts("{\"messages\":[" USER "]}"));
    assert_false(accepts(REQUEST(USER "," CALLS("a"))));
    assert_false(accepts(REQUEST(USER "," CALLS("a") "," RESULT("b"))));
    assert_false(accepts(REQUEST(USER "," CALLS("a") "," RESULT("a") "," RESULT("a"))));
    assert_false(accepts(REQUEST(USER "," CALLS("a") "," USER "," RESULT("a"))));
    assert_false(accepts(REQUEST(RESULT("a"))));
    assert_false(accepts(REQUEST("{\"role\":\"robot\",\"content\":\"u\"}")));
    assert_false(accepts(REQUEST("{\"role\":\"user\",\"content\":null}")));
    assert_false(accepts("{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[]}"));
    assert_false(accepts("{\"model\":\"m\",\"messages\":[" USER
                         "],\"tools\":[{\"type\":\"function\","
                         "\"function\":{\"name\":\"a.b\"}}]}"));
}

static void test_stream_joins_to_the_same(void **state)
{
    (void)state;
    struct completion completion = {.id = "chatcmpl-1",
                                    .model = "m",
                                    .text = mem_strdup("grüße, was für ein schöner Tag"),
                                    .calls = json_array(),
                                    .usage_chunk = true};
    struct buf out, joined;
    buf_init(&out, 1 << 20);
    buf_init(&joined, 1 << 20);
    completion_events(&completion, &out);
    for (const char *at = buf_text(&out); (at = strstr(at, "data: {")); at++) {
        json_t *event = NULL;
        const char *end = strstr(at, "\n\n");
        assert_int_equal(js_parse(at + 6, (size_t)(end - at - 6), &event, NULL), ERR_OK);
        const json_t *choice = json_array_get(json_object_get(event, "choices"), 0);
        buf_add_str(&joined, js_str(json_object_get(choice, "delta"), "content", ""));
        json_decref(event);
    }
    assert_string_equal(buf_text(&joined), completion.text);
    assert_non_null(strstr(buf_text(&out), "data: [DONE]\n\n"));
    buf_fini(&out);
    buf_fini(&joined);
    completion_fini(&completion);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tools_by_words),
        cmocka_unit_test(test_calendar_covers_a_week),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_use_tool),
        cmocka_unit_test(test_tools_in_turns),
        cmocka_unit_test(test_number_of_calls_is_bounded),
        cmocka_unit_test(test_reads_the_first_mail_of_the_list),
        cmocka_unit_test(test_answer_quotes_results),
        cmocka_unit_test(test_answer_is_bounded),
        cmocka_unit_test(test_loop_calls_for_ever),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_requests_are_checked),
        cmocka_unit_test(test_stream_joins_to_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
