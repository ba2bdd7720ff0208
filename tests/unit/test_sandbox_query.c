/* The sandbox's search languages: Drive's and Gmail's. */
#include "tests/unit/unit.h"

#include <string.h>

#include "libcommon/js.h"
#include "services/sandbox/data.h"
#include "services/sandbox/drive_query.h"
#include "services/sandbox/gmail_query.h"

#define NOW_MS INT64_C(1800000000000)
#define DAY_MS INT64_C(86400000)

static json_t *file(void)
{
    return json_pack("{s:s, s:s, s:s, s:[s], s:b, s:s, s:s, s:[{s:s}]}", "id", "F1", "name",
                     "Letter to O'Brien", "mimeType", "application/vnd.google-apps.document",
                     "parents", "ROOT", "trashed", 0, "modifiedTime", "2026-11-20T10:00:00.000Z",
                     "_text", "thank you for the lamp", "owners", "emailAddress",
                     "ada@example.com");
}

static bool drive(const char *query)
{
    AUTOJSON json_t *one = file();
    bool fits = false;
    assert_int_equal(drive_query_matches(query, one, "ROOT", "ada@example.com", &fits), ERR_OK);
    return fits;
}

static void test_drive_fits(void **state)
{
    (void)state;
    assert_true(drive(""));
    assert_true(drive("name = 'Letter to O\\'Brien'"));
    assert_true(drive("name contains 'obrien' or name contains 'O\\'Brien'"));
    assert_false(drive("name contains 'etter'"));
    assert_true(drive("fullText contains 'lamp'"));
    assert_true(drive("fullText contains 'lamp thank'"));
    assert_false(drive("fullText contains '\"lamp thank\"'"));
    assert_true(drive("mimeType = 'application/vnd.google-apps.document' and trashed = false"));
    assert_true(drive("mimeType!='application/vnd.google-apps.folder'"));
    assert_true(drive("'root' in parents and not trashed=true"));
    assert_false(drive("'OTHER' in parents"));
    assert_true(drive("'me' in owners"));
    assert_true(drive("modifiedTime > '2026-11-01T00:00:00'"));
    assert_false(drive("modifiedTime < '2026-11-01T00:00:00+02:00'"));
    assert_true(drive("(name = 'x' or (name contains 'Letter')) and trashed = false"));
    assert_false(drive("not (name contains 'Letter')"));
    assert_false(drive("sharedWithMe"));
}

static void test_drive_refuses(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "name",           "name =",          "name = 'x",
        "name = 'x' and", "name = 'x' 'y'",  "name = 'x' or or name = 'y'",
        "nonsense = 'x'", "trashed = maybe", "(name = 'x'",
        "name = 'x')",    "'a' in nowhere",  "modifiedTime > 'soon'",
        "name ~ 'x'",     "name = 'x\\",     NULL};
    AUTOJSON json_t *one = file();
    bool fits;
    for (int i = 0; BAD[i]; i++)
        assert_int_equal(drive_query_matches(BAD[i], one, "ROOT", "ada@example.com", &fits),
                         ERR_INVALID);
}

static void test_drive_depth_is_bounded(void **state)
{
    (void)state;
    char query[4096];
    bool fits;
    AUTOJSON json_t *one = file();
    memset(query, '(', sizeof(query) - 1);
    query[sizeof(query) - 1] = 0;
    assert_int_equal(drive_query_matches(query, one, "ROOT", "a@b", &fits), ERR_INVALID);
}

static json_t *mail(void)
{
    json_t *one = mail_new("1900000000000001", "1900000000000001", NOW_MS - 2 * DAY_MS,
                           "Mary Jackson <mary@example.org>", "ada@example.com",
                           "Quarterly report is ready", "Revenue grew by 12 percent.");
    mail_label(one, "INBOX", true);
    mail_label(one, "UNREAD", true);
    mail_attach(one, "report.pdf", "application/pdf", "x", 1);
    return one;
}

static bool gmail(const char *query)
{
    AUTOJSON json_t *one = mail();
    return gmail_query_matches(query, one, NOW_MS);
}

static void test_gmail_fits(void **state)
{
    (void)state;
    assert_true(gmail(""));
    assert_true(gmail("revenue quarterly"));
    assert_true(gmail("\"grew by 12\""));
    assert_false(gmail("\"12 grew\""));
    assert_true(gmail("from:mary subject:report"));
    assert_true(gmail("FROM:mary@example.org to:ada"));
    assert_false(gmail("from:alan"));
    assert_true(gmail("has:attachment filename:pdf is:unread in:inbox"));
    assert_false(gmail("is:read"));
    assert_false(gmail("label:STARRED"));
    assert_true(gmail("-label:STARRED -from:alan"));
    assert_true(gmail("from:alan OR from:mary"));
    assert_true(gmail("{from:alan from:mary} report"));
    assert_false(gmail("(from:mary nowhere)"));
    assert_true(gmail("subject:(quarterly ready)"));
    assert_true(gmail("after:2027/01/12 before:2027/01/14"));
    assert_false(gmail("after:2027/01/14"));
    assert_true(gmail("newer_than:3d older_than:1d"));
    assert_false(gmail("after:soon"));
    assert_false(gmail("unknown:thing"));
}

static void test_gmail_survives_nonsense(void **state)
{
    (void)state;
    char query[3000];
    static const char *const ODD[] = {
        ")", "(((", "\"", "-", "----", ":", "a:", "{", "}", "OR", "a OR", "subject:(", "-(", NULL};
    for (int i = 0; ODD[i]; i++)
        (void)gmail(ODD[i]);
    memset(query, '(', sizeof(query) - 1);
    query[sizeof(query) - 1] = 0;
    (void)gmail(query);
    memset(query, '-', sizeof(query) - 1);
    (void)gmail(query);
    memset(query, '{', sizeof(query) - 1);
    (void)gmail(query);
}

static void test_times(void **state)
{
    (void)state;
    int64_t ms;
    assert_int_equal(time_parse("2027-01-15T08:00:00Z", &ms), ERR_OK);
    assert_true(ms == NOW_MS);
    assert_int_equal(time_parse("2027-01-15T09:30:00.250+01:30", &ms), ERR_OK);
    assert_true(ms == NOW_MS + 250);
    assert_int_equal(time_parse("2027-01-15T08:00:00", &ms), ERR_INVALID);
    assert_int_equal(time_parse("2027-13-15", &ms), ERR_INVALID);
    assert_int_equal(time_parse("2027-01-15T08:00:00Zx", &ms), ERR_INVALID);
    assert_int_equal(time_parse("", &ms), ERR_INVALID);
}

static void test_data_is_deterministic(void **state)
{
    (void)state;
    struct accounts *accounts = accounts_new();
    struct account *ada = accounts_get(accounts, "Ada@Example.com");
    accounts_fill(accounts, ada, NOW_MS);
    AUTOJSON json_t *again = data_mails(ada, NOW_MS);
    AUTOJSON json_t *files = data_files(ada, NOW_MS);
    assert_true(json_equal(again, ada->mails));
    assert_true(json_equal(files, ada->files));
    assert_int_equal(json_array_size(ada->mails), 25);
    assert_int_equal(json_array_size(ada->events), 12);
    assert_true(json_array_size(ada->files) >= 15);
    assert_int_equal(strlen(ada->sub), 21);
    assert_null(accounts_get(accounts, "no address"));
    assert_null(accounts_get(accounts, "a@b\r\nc"));
    accounts_destroy(&accounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drive_fits),
        cmocka_unit_test(test_drive_refuses),
        cmocka_unit_test(test_drive_depth_is_bounded),
        cmocka_unit_test(test_gmail_fits),
        cmocka_unit_test(test_gmail_survives_nonsense),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_data_is_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
