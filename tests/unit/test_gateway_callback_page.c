#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "libcommon/mem.h"
#include "services/gateway/gateway.h"

static void test_escapes_everything(void **state)
{
    (void)state;
    AUTOJSON json_t *login = json_pack(
        "{s:s, s:{s:s, s:s}, s:[s, i]}", "access_token", "a.b</textarea><script>", "user", "id",
        "\"><script>1</script>", "email", "a'b&c@example.com", "scopes", "<b>drive</b>", 7);
    AUTOFREE char *page = callback_page(login, "NONCE", false);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "<b>"));
    assert_non_null(strstr(page, "a.b&lt;/textarea&gt;&lt;script&gt;</textarea>"));
    assert_non_null(strstr(page, "a&#39;b&amp;c@example.com"));
    assert_non_null(strstr(page, "&quot;&gt;&lt;script&gt;1"));
    assert_non_null(strstr(page, "<style nonce=\"NONCE\">"));
    assert_non_null(strstr(page, "readonly"));
}

static void test_error_page(void **state)
{
    (void)state;
    AUTOFREE char *page = callback_error_page("<img src=x>", "N", false);
    assert_null(strstr(page, "<img"));
    assert_non_null(strstr(page, "&lt;img src=x&gt;"));
}

static void test_the_chat_page_s_script(void **state)
{
    static const char script[] = "<script type=\"module\" src=\"/app/callback.js\"></script>";
    (void)state;
    AUTOJSON json_t *login = json_pack("{s:s}", "access_token", "a.b.c");
    AUTOFREE char *page = callback_page(login, "N", true);
    AUTOFREE char *error_page = callback_error_page("access_denied", "N", true);
    assert_non_null(strstr(page, script));
    assert_non_null(strstr(error_page, script));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_everything),
        cmocka_unit_test(test_error_page),
        cmocka_unit_test(test_the_chat_page_s_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
