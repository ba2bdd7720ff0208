/* More tools than a request holds: what is offered, what a search finds, names that are near. */
#include "tests/unit/agent_fixture.h"

#include "services/worker/agent_tools.h"

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void add(json_t *all, const char *name, const char *description)
{
    struct script script = {.tools = all};
    script_add_tool(&script, name, description);
}

static json_t *many(size_t count)
{
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s__tool_%zu", i < count / 2 ? "first" : "second", i);
        add(all, name, "Does nothing.");
    }
    return all;
}

static bool offers(const struct agent_tools *tools, const char *name)
{
    size_t index;
    const json_t *tool;
    json_array_foreach(agent_tools_offered(tools), index,
                       tool) if (strcmp(js_str(json_object_get(tool, "function"), "name", ""),
                                        name) == 0) return true;
    return false;
}

static void all_are_offered_when_they_fit(void **state)
{
    (void)state;
    AUTOJSON json_t *all = many(128);
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    assert_int_equal(json_array_size(agent_tools_offered(tools)), 128);
    assert_false(agent_tools_is_search(tools, "search_tools"));
    assert_true(agent_tools_has(tools, "second__tool_127"));
    agent_tools_destroy(&tools);
    assert_null(tools);
}

static void the_rest_is_found_by_searching(void **state)
{
    (void)state;
    AUTOJSON json_t *all = many(300);
    add(all, "second__send_invoice", "Sends an invoice to a customer.\nSecond line.");
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    assert_int_equal(json_array_size(agent_tools_offered(tools)), 128);
    assert_true(offers(tools, "first__tool_0"));
    assert_true(offers(tools, "first__tool_126"));
    assert_false(offers(tools, "first__tool_127"));
    assert_true(agent_tools_is_search(tools, "search_tools"));
    AUTOFREE char *text = agent_tools_search(tools, "INVOICE for a customer, please");
    assert_non_null(strstr(text, "- second__send_invoice: Sends an invoice to a customer."));
    assert_null(strstr(text, "Second line"));
    assert_true(offers(tools, "second__send_invoice"));
    assert_true(offers(tools, "first__tool_0"));
    assert_int_equal(json_array_size(agent_tools_offered(tools)), 128);
    AUTOFREE char *none = agent_tools_search(tools, "zzz");
    assert_non_null(strstr(none, "No tool fits"));
    assert_non_null(strstr(none, "first, second"));
    agent_tools_destroy(&tools);
}

static void searches_have_a_bound(void **state)
{
    (void)state;
    AUTOJSON json_t *all = many(1000);
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    for (int i = 0; i < 1000; i += 7) {
        char query[32];
        snprintf(query, sizeof query, "tool %d", i);
        free(agent_tools_search(tools, query));
        snprintf(query, sizeof query, "%s__tool_%d", i < 500 ? "first" : "second", i);
        assert_true(offers(tools, query));
        assert_true(json_array_size(agent_tools_offered(tools)) <= 128);
        assert_true(offers(tools, "first__tool_0"));
    }
    agent_tools_destroy(&tools);
}

static void bytes_have_a_bound(void **state)
{
    (void)state;
    AUTOJSON json_t *all = json_array();
    char description[4001];
    memset(description, 'd', 4000);
    description[4000] = '\0';
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "s__t%d", i);
        add(all, name, description);
    }
    struct agent_tools *tools = agent_tools_new(all, 128, 40000);
    for (int i = 0; i < 100; i += 9) {
        char query[32];
        snprintf(query, sizeof query, "t%d", i);
        free(agent_tools_search(tools, query));
        assert_true(js_dump_size(agent_tools_offered(tools)) <= 40000 + 4000);
        assert_true(offers(tools, "search_tools"));
    }
    agent_tools_destroy(&tools);
}

static void odd_queries_do_no_harm(void **state)
{
    static const char *const queries[] = {"", " ", "_", "a", "\xc3\xa9", "\xff\xfe", "%s%n", "- -"};
    (void)state;
    AUTOJSON json_t *all = many(200);
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    char lengthy[5000];
    memset(lengthy, 'q', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        free(agent_tools_search(tools, queries[i]));
    free(agent_tools_search(tools, lengthy));
    free(agent_tools_near(tools, lengthy));
    free(agent_tools_near(tools, ""));
    agent_tools_destroy(&tools);
}

static void assert_near(const struct agent_tools *tools, const char *name, const char *near)
{
    AUTOFREE char *text = agent_tools_near(tools, name);
    assert_string_equal(text, near);
}

static void tools_come_and_go(void **state)
{
    (void)state;
    AUTOJSON json_t *all = many(300);
    add(all, "last__mail", "Reads mail.");
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    free(agent_tools_search(tools, "mail"));
    assert_true(offers(tools, "last__mail"));
    json_array_clear(all);
    add(all, "new__one", "Is new.");
    agent_tools_refresh(tools);
    assert_true(offers(tools, "new__one"));
    assert_false(offers(tools, "last__mail"));
    assert_false(agent_tools_has(tools, "first__tool_0"));
    assert_false(agent_tools_is_search(tools, "search_tools"));
    agent_tools_destroy(&tools);
}

static void near_names(void **state)
{
    (void)state;
    AUTOJSON json_t *all = json_array();
    add(all, "google__gmail_list_messages", "");
    add(all, "google__drive_search", "");
    add(all, "files__read", "");
    struct agent_tools *tools = agent_tools_new(all, 128, 1 << 20);
    assert_near(tools, "gmail_list_messages", "google__gmail_list_messages");
    assert_near(tools, "mail__gmail_list_messages", "google__gmail_list_messages");
    assert_near(tools, "google__gmail_list_mesages", "google__gmail_list_messages");
    assert_near(tools, "list_messages", "google__gmail_list_messages");
    assert_near(tools, "files__write", "");
    assert_near(tools, "x", "");
    agent_tools_destroy(&tools);
}

/* Through the agent: found, offered, called. */
static void a_found_tool_is_called(void **state)
{
    (void)state;
    struct script script;
    script_init(&script, ANSWERS(CALLS(CALL("1", "search_tools", "{\\\"query\\\": \\\"rare\\\"}")),
                                 CALLS(CALL("2", "s__rare", "{}")), TEXT("ok")));
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "s__filler_%d", i);
        script_add_tool(&script, name, "Nothing.");
    }
    script_add_tool(&script, "s__rare", "Rarely used.");
    AUTOJSON json_t *end = script_run(&script);
    assert_string_equal(js_str(end, "outcome", ""), "completed");
    assert_string_equal(script.log,
                        "tool_call:search_tools tool_result:search_tools tool_call:s__rare "
                        "call:s__rare tool_result:s__rare message:ok ");
    AUTOFREE char *first = js_dump(json_object_get(json_array_get(script.requests, 0), "tools"));
    AUTOFREE char *second = js_dump(json_object_get(json_array_get(script.requests, 1), "tools"));
    assert_null(strstr(first, "s__rare"));
    assert_non_null(strstr(second, "s__rare"));
    assert_conversations(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_offered_when_they_fit),
        cmocka_unit_test(the_rest_is_found_by_searching),
        cmocka_unit_test(searches_have_a_bound),
        cmocka_unit_test(bytes_have_a_bound),
        cmocka_unit_test(odd_queries_do_no_harm),
        cmocka_unit_test(tools_come_and_go),
        cmocka_unit_test(near_names),
        cmocka_unit_test(a_found_tool_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
