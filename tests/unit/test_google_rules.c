/* Scope rules, Drive search texts, times, results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/drive_query.h"
#include "services/google/rfc3339.h"
#include "services/google/scopes.h"
#include "services/google/tools.h"

static uint32_t parse(const char *json)
{
    uint32_t scopes = 99;
    assert_int_equal(scopes_parse(json, &scopes), ERR_OK);
    return scopes;
}

static void scopes_are_read(void **state)
{
    (void)state;
    uint32_t untouched = 7;
    assert_int_equal(parse(NULL), 0);
    assert_int_equal(parse(""), 0);
    assert_int_equal(parse("[]"), 0);
    assert_int_equal(parse("[\"openid\",\"https://www.googleapis.com/auth/drive\"]"), SCOPE_DRIVE);
    assert_int_equal(parse("[\"https://www.googleapis.com/auth/drive.evil\"]"), 0);
    assert_int_equal(parse("[\"drive\"]"), 0);
    static const char *const bad[] = {"{}", "\"x\"", "[1]", "[", "x", "[[]]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scopes_parse(bad[i], &untouched), ERR_INVALID);
    assert_int_equal(untouched, 7);
    AUTOFREE char *names = scopes_names(SCOPE_MAIL | SCOPE_GMAIL_MODIFY);
    assert_string_equal(names, "https://mail.google.com/ or gmail.modify");
}

/* The tools of one product that a scope allows. */
static void expect_tools(const char *scopes_json, const char *prefix, const char *expected)
{
    struct buf got;
    uint32_t scopes = parse(scopes_json);
    buf_init(&got, 4096);
    for (size_t i = 0; i < tools_count; i++)
        if (strncmp(tools[i].name, prefix, strlen(prefix)) == 0 && tool_allowed(&tools[i], scopes))
            buf_printf(&got, "%s ", tools[i].name + strlen(prefix));
    assert_string_equal(buf_text(&got), expected);
    buf_fini(&got);
}

#define AUTH "https://www.googleapis.com/auth/"
#define MAIL_READS                                                                   \
    "list_messages read_message_without_attachments find_messages_with_attachments " \
    "read_attachment_content search_and_summarize "

static void scopes_allow_gmail_tools(void **state)
{
    (void)state;
    static const char all[] =
        MAIL_READS "send_message reply_to_message list_labels modify_labels delete_message ";
    expect_tools("[\"" AUTH "gmail.readonly\"]", "gmail_", MAIL_READS "list_labels ");
    expect_tools("[\"" AUTH "gmail.modify\"]", "gmail_", all);
    expect_tools("[\"https://mail.google.com/\"]", "gmail_", all);
    expect_tools("[\"" AUTH "gmail.labels\"]", "gmail_", "list_labels ");
    expect_tools("[\"" AUTH "gmail.compose\"]", "gmail_", "send_message ");
    expect_tools("[\"" AUTH "gmail.send\"]", "gmail_", "send_message ");
    /* Answering takes reading as well as sending. */
    expect_tools("[\"" AUTH "gmail.readonly\",\"" AUTH "gmail.compose\"]", "gmail_",
                 MAIL_READS "send_message reply_to_message list_labels ");
    expect_tools("[\"" AUTH "gmail.metadata\"]", "gmail_", "list_labels ");
    expect_tools("[\"" AUTH "drive\"]", "gmail_", "");
}

static void drive_texts_are_quoted(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    drive_quote(&out, "it's \\ or '' \\'");
    assert_string_equal(buf_text(&out), "'it\\'s \\\\ or \\'\\' \\\\\\''");
    buf_reset(&out);
    drive_search_query(&out, "x' or trashed = true or name contains '");
    assert_string_equal(
        buf_text(&out),
        "(name contains 'x\\' or trashed = true or name contains \\'' or "
        "fullText contains 'x\\' or trashed = true or name contains \\'') and trashed = false");
    buf_fini(&out);
}

static void expect_type(const char *type, const char *expected)
{
    struct buf out;
    buf_init(&out, 1000);
    enum err err = drive_type_query(&out, type);
    assert_int_equal(err, expected ? ERR_OK : ERR_INVALID);
    if (expected)
        assert_string_equal(buf_text(&out), expected);
    buf_fini(&out);
}

static void drive_kinds(void **state)
{
    (void)state;
    expect_type("", "trashed = false");
    expect_type("PDFs", "mimeType = 'application/pdf' and trashed = false");
    expect_type("document",
                "mimeType = 'application/vnd.google-apps.document' and trashed = false");
    expect_type("image", "mimeType contains 'image/' and trashed = false");
    expect_type("image/png", "mimeType = 'image/png' and trashed = false");
    expect_type("image/'", NULL);
    expect_type("a/b/c", NULL);
    expect_type("/", NULL);
    expect_type("what", NULL);
    assert_true(drive_is_order("name"));
    assert_true(drive_is_order("folder,modifiedTime desc, name"));
    static const char *const bad[] = {"", "nonsense", "name,", "name asc", "name desc desc", ","};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(drive_is_order(bad[i]));
}

static void times(void **state)
{
    (void)state;
    int64_t ms = 5;
    assert_int_equal(rfc3339_parse("1970-01-01T00:00:01Z", &ms), ERR_OK);
    assert_int_equal(ms, 1000);
    assert_int_equal(rfc3339_parse("2025-02-01T01:00:00.25+01:00", &ms), ERR_OK);
    assert_int_equal(ms, INT64_C(1738368000250));
    assert_int_equal(rfc3339_parse("2024-02-29t00:00:00z", &ms), ERR_OK);
    ms = 5;
    static const char *const bad[] = {
        "",
        "2025-01-31",
        "2025-01-31T09:00:00",
        "2025-01-31T09:00Z",
        "tomorrow",
        "2025-02-29T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-01-31T24:00:00Z",
        "2025-1-1T00:00:00Z",
        "2025-01-31T09:00:00Zx",
        "2025-01-31T09:00:00+0100",
        "2025-01-31T09:00:00.Z",
        "2025-01-31T09:00:00+24:00",
        "2025-01-31",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rfc3339_parse(bad[i], &ms), ERR_INVALID);
    assert_int_equal(ms, 5);
}

static void ids(void **state)
{
    (void)state;
    assert_true(api_is_id("18c2a-_Z"));
    static const char *const bad[] = {"", "..", "a/b", "a?b", "a b", "a%2e", "ä"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(api_is_id(bad[i]));
}

static void lines(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    text_add_line(&out, "a\nb\x1b[1m\tc", 100);
    assert_string_equal(buf_text(&out), "a b [1m c");
    buf_reset(&out);
    text_add_line(&out, "aüü", 4);
    assert_string_equal(buf_text(&out), "aü…");
    buf_reset(&out);
    text_add_line(&out, NULL, 4);
    assert_string_equal(buf_text(&out), "(none)");
    buf_fini(&out);
}

static void listings(void **state)
{
    (void)state;
    struct result result;
    struct listing listing;
    char *big = mem_alloc(RESULT_ITEM_MAX + 1);
    memset(big, 'x', RESULT_ITEM_MAX);
    result_init(&result);
    listing_begin(&listing, &result, "things");
    while (listing_add(&listing, big, RESULT_ITEM_MAX, json_object()))
        ;
    listing_end(&listing, "thing", ERR_OK, "", true);
    assert_non_null(strstr(buf_text(&result.text), "Found 15 things:\nxxx"));
    assert_non_null(strstr(buf_text(&result.text), "[cut here: the list is too long]"));
    assert_int_equal(json_array_size(json_object_get(result.structured, "things")), 15);
    assert_false(js_bool(result.structured, "complete", true));
    result_fini(&result);
    free(big);

    result_init(&result);
    listing_begin(&listing, &result, "things");
    listing_end(&listing, "thing", ERR_UPSTREAM, "broken", false);
    AUTOJSON json_t *json = result_json(&result);
    assert_true(js_bool(json, "isError", false));
    assert_null(json_object_get(json, "structuredContent"));
    result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_read),
        cmocka_unit_test(scopes_allow_gmail_tools),
        cmocka_unit_test(drive_texts_are_quoted),
        cmocka_unit_test(drive_kinds),
        cmocka_unit_test(times),
        cmocka_unit_test(ids),
        cmocka_unit_test(lines),
        cmocka_unit_test(listings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
