#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/google/api_answer.h"

static const char *why_of(int status, const char *message)
{
    static char why[API_WHY_SIZE], body[1024];
    snprintf(body, sizeof body, "{\"error\": {\"message\": \"%s\"}}", message);
    struct http_answer answer = {.status = status, .body = body, .len = strlen(body)};
    assert_int_not_equal(api_judge(&answer, why).error, ERR_OK);
    return why;
}

static void words_are_passed_on(void **state)
{
    (void)state;
    assert_non_null(strstr(why_of(404, "File not found: 1AbC."), "File not found: 1AbC."));
    assert_non_null(strstr(why_of(400, "Invalid value for 1/2"), "Invalid value for 1/2"));
}

static void tokens_are_starred_out(void **state)
{
    (void)state;
    const char *why = why_of(400, "bad header 'Bearer ya29.a0Af_H-x', refresh 1//0gSecret; again "
                                  "ya29.second and GOCSPX-third.");
    static const char *const gone[] = {"a0Af", "0gSecret", "second", "third"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_null(strstr(why, gone[i]));
    assert_non_null(strstr(why, "; again "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_passed_on),
                                       cmocka_unit_test(tokens_are_starred_out)};
    return cmocka_run_group_tests_name("google_answer", tests, NULL, NULL);
}
