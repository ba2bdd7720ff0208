#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "services/jobs/webhook.h"

/* The example of the specification's own libraries. */
static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char other[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
static const char body[] = "{\"test\": 2432232314}";
static const char signature[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

static void read_secrets(const char *setting, struct webhook_secrets *secrets)
{
    assert_int_equal(webhook_secrets_read(setting, secrets), ERR_OK);
}

static void signs_as_the_specification(void **state)
{
    (void)state;
    struct webhook_secrets secrets;
    char text[WEBHOOK_SIGNATURES_MAX];
    read_secrets(secret, &secrets);
    assert_int_equal(secrets.count, 1);
    webhook_sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), text);
    assert_string_equal(text, signature);
    webhook_secrets_fini(&secrets);
}

static void two_secrets_sign_both(void **state)
{
    (void)state;
    struct webhook_secrets secrets;
    char both[2 * sizeof(secret) + sizeof(other)], text[WEBHOOK_SIGNATURES_MAX];
    snprintf(both, sizeof(both), " %s , %s", other, secret);
    read_secrets(both, &secrets);
    webhook_sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), text);
    const char *space = strchr(text, ' ');
    assert_non_null(space);
    assert_string_equal(space + 1, signature);
    assert_int_equal(space - text, strlen(signature));
}

static void refuses_other_secrets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_!!!!9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,x",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,"
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
        "AAECA",
    };
    struct webhook_secrets secrets;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(webhook_secrets_read(bad[i], &secrets), ERR_INVALID);
    read_secrets(NULL, &secrets);
    assert_int_equal(secrets.count, 0);
}

static void waits_longer_each_time(void **state)
{
    (void)state;
    assert_in_range(webhook_wait_ms(1, 0, -1, 7), 800, 1200);
    assert_in_range(webhook_wait_ms(4, 0, -1, UINT64_MAX), 21600, 32400);
    assert_in_range(webhook_wait_ms(9, 0, -1, 12345678901), 5248800, 7873200);
    assert_in_range(webhook_wait_ms(100, 0, -1, 0), 5760000, 8640000);
    assert_int_equal(webhook_wait_ms(1, 0, 60000, 7), 60000);
    assert_in_range(webhook_wait_ms(4, 0, 0, 7), 21600, 32400);
}

/* From the first attempt on, however it fails. */
static void gives_up_after_a_day(void **state)
{
    (void)state;
    int64_t age = 0;
    int64_t attempts = 1;
    for (int64_t wait; (wait = webhook_wait_ms(attempts, age, -1, 99)) >= 0; attempts++)
        age += wait;
    assert_in_range(attempts, 15, 30);
    assert_in_range(age, 20 * 3600 * 1000, WEBHOOK_DAY_MS);
    assert_int_equal(webhook_wait_ms(1, WEBHOOK_DAY_MS, -1, 0), -1);
    assert_int_equal(webhook_wait_ms(1, 1, WEBHOOK_DAY_MS, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_the_specification), cmocka_unit_test(two_secrets_sign_both),
        cmocka_unit_test(refuses_other_secrets),      cmocka_unit_test(waits_longer_each_time),
        cmocka_unit_test(gives_up_after_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
