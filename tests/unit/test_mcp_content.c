#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_content.h"

static char *text_of(const char *json, size_t max, bool *is_error)
{
    AUTOJSON json_t *result = json_loads(json, 0, NULL);
    assert_non_null(result);
    return mcp_result_text(result, max, is_error);
}

static void expect(const char *json, const char *want)
{
    bool is_error;
    AUTOFREE char *text = text_of(json, 10000, &is_error);
    assert_string_equal(text, want);
    assert_false(is_error);
}

static void blocks_become_text(void **state)
{
    (void)state;
    expect("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
           "a\nb");
    expect("{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"AAECAw==\"},"
           "{\"type\":\"audio\",\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}]}",
           "[image, image/png, 4 bytes, not shown]\n[audio, audio/wav, 3 bytes, not shown]");
    expect("{\"content\":[{\"type\":\"resource_link\",\"uri\":\"file:///x\",\"name\":\"x\","
           "\"mimeType\":\"text/plain\",\"size\":7,\"description\":\"the x\"}]}",
           "[link to x: file:///x, text/plain, 7 bytes (the x)]");
    expect("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///x\",\"text\":"
           "\"inside\"}},{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///y\",\"mimeType\":"
           "\"image/gif\",\"blob\":\"AAAA\"}}]}",
           "[resource file:///x]\ninside\n[resource file:///y, image/gif, 3 bytes, not shown]");
}

static void odd_blocks_do_no_harm(void **state)
{
    (void)state;
    expect("{}", "");
    expect("{\"content\":7}", "");
    expect("{\"content\":[7,null,{\"type\":\"video\",\"data\":\"AAAA\"},{\"type\":\"resource\"},"
           "{\"type\":\"image\",\"data\":7},{\"type\":\"text\",\"text\":{}}]}",
           "[unknown content, not shown]\n[unknown content, not shown]\n"
           "[video content, not shown]\n[resource without a URI, 0 bytes, not shown]\n"
           "[image, 0 bytes, not shown]\n");
}

static void structured_content_is_said_once(void **state)
{
    (void)state;
    expect("{\"structuredContent\":{\"a\":1}}", "{\"a\":1}");
    expect("{\"content\":[],\"structuredContent\":{\"a\":1}}", "{\"a\":1}");
    expect("{\"content\":[{\"type\":\"text\",\"text\":\"{ \\\"a\\\": 1 }\"}],"
           "\"structuredContent\":{\"a\":1}}",
           "{ \"a\": 1 }");
    expect("{\"content\":[{\"type\":\"text\",\"text\":\"one\"}],\"structuredContent\":{\"a\":1}}",
           "one\n{\"a\":1}");
}

static void errors_stay_errors(void **state)
{
    (void)state;
    bool is_error;
    AUTOFREE char *failed = text_of(
        "{\"content\":[{\"type\":\"text\",\"text\":\"no\"}],\"isError\":true}", 100, &is_error);
    assert_true(is_error);
    assert_string_equal(failed, "no");
}

static void long_content_is_cut_visibly(void **state)
{
    (void)state;
    bool is_error;
    const char *json = "{\"content\":[{\"type\":\"text\",\"text\":\"éééééééééééééééééééé\"}]}";
    AUTOFREE char *text = text_of(json, 21, &is_error);
    assert_true(js_is_utf8(text, strlen(text)));
    assert_non_null(strstr(text, "[cut"));
    AUTOFREE char *name = mem_alloc(5001);
    memset(name, 'n', 5000);
    AUTOJSON json_t *link = json_pack("{s:[{s:s, s:s, s:s}]}", "content", "type", "resource_link",
                                      "uri", "file:///x", "name", name);
    AUTOFREE char *line = mcp_result_text(link, 10000, &is_error);
    assert_true(strlen(line) < 400);
    assert_non_null(strstr(line, "file:///x"));
}

static void resources_become_lines(void **state)
{
    (void)state;
    AUTOJSON json_t *list =
        json_loads("[{\"uri\":\"a://1\",\"name\":\"one\",\"title\":\"One\"},7]", 0, NULL);
    AUTOJSON json_t *templates =
        json_loads("[{\"uriTemplate\":\"a://{id}\",\"name\":\"any\"}]", 0, NULL);
    AUTOFREE char *lines = mcp_resource_lines(list, templates, 1000);
    assert_string_equal(lines, "One: a://1\n\ntemplate any: a://{id}\n");
    AUTOFREE char *none = mcp_resource_lines(NULL, NULL, 1000);
    assert_string_equal(none, "The server has no resources.");
    AUTOJSON json_t *read = json_loads("{\"contents\":[{\"text\":\"t\"},{\"uri\":\"a://2\","
                                       "\"blob\":\"AAAA\"}]}",
                                       0, NULL);
    AUTOFREE char *text = mcp_resource_text(read, 1000);
    assert_string_equal(text, "t\n[resource a://2, 3 bytes, not shown]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_become_text),
        cmocka_unit_test(odd_blocks_do_no_harm),
        cmocka_unit_test(structured_content_is_said_once),
        cmocka_unit_test(errors_stay_errors),
        cmocka_unit_test(long_content_is_cut_visibly),
        cmocka_unit_test(resources_become_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
