#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "proto/proto.h"

static struct proto_header sample(void)
{
    struct proto_header header = {.type = PROTO_FINAL,
                                  .flags = PROTO_FLAG_IDEMPOTENT | PROTO_FLAG_SAMPLED,
                                  .status = ERR_CONFLICT,
                                  .instance = 0x0123456789abcdef,
                                  .seq = 42,
                                  .ttl_ms = 1500,
                                  .credit = 0xfffffff0,
                                  .part = 7,
                                  .retry_after_ms = 250};
    memset(header.trace_id, 0xab, sizeof header.trace_id);
    memset(header.span_id, 0xcd, sizeof header.span_id);
    return header;
}

static void test_header_round_trip(void **state)
{
    (void)state;
    struct proto_header in = sample(), out;
    uint8_t bytes[PROTO_HEADER_BYTES];
    proto_header_encode(&in, bytes);
    assert_int_equal(proto_header_decode(bytes, sizeof bytes, &out), ERR_OK);
    assert_memory_equal(&in, &out, sizeof in);
    /* Other languages read these places. */
    assert_memory_equal(bytes, "MCB\x01\x08\x05\x01\x2e", 8);
    assert_int_equal(bytes[PROTO_AT_INSTANCE], 0x01);
    assert_int_equal(bytes[PROTO_AT_SEQ + 7], 42);
}

static void refused(size_t at, uint8_t value, enum err expected)
{
    struct proto_header in = sample(), out = {.seq = 99};
    uint8_t bytes[PROTO_HEADER_BYTES];
    proto_header_encode(&in, bytes);
    bytes[at] = value;
    assert_int_equal(proto_header_decode(bytes, sizeof bytes, &out), expected);
    assert_int_equal(out.seq, 99); /* untouched */
}

static void test_header_fails_closed(void **state)
{
    (void)state;
    refused(0, 'X', ERR_BAD_FRAME);
    refused(PROTO_AT_VERSION, 2, ERR_VERSION);
    refused(PROTO_AT_TYPE, 0, ERR_BAD_FRAME);
    refused(PROTO_AT_TYPE, PROTO_TYPE_LAST + 1, ERR_BAD_FRAME);
    refused(PROTO_AT_FLAGS, 0x80, ERR_BAD_FRAME);
    refused(PROTO_AT_STATUS, 0x7f, ERR_BAD_FRAME);
    refused(PROTO_AT_TTL_MS, 0xff, ERR_BAD_FRAME);
    struct proto_header out;
    uint8_t bytes[PROTO_HEADER_BYTES + 1] = {0};
    struct proto_header in = sample();
    proto_header_encode(&in, bytes);
    assert_int_equal(proto_header_decode(bytes, PROTO_HEADER_BYTES - 1, &out), ERR_BAD_FRAME);
    assert_int_equal(proto_header_decode(bytes, PROTO_HEADER_BYTES + 1, &out), ERR_BAD_FRAME);
    assert_int_equal(proto_header_decode(bytes, 0, &out), ERR_BAD_FRAME);
}

static enum err parse(const char *text, struct proto_target *target)
{
    return proto_target_parse(text, strlen(text), target);
}

static void test_targets(void **state)
{
    (void)state;
    struct proto_target t;
    assert_int_equal(parse("jobs.submit", &t), ERR_OK);
    assert_string_equal(t.service, "jobs");
    assert_string_equal(t.method, "submit");
    assert_int_equal(t.reach, PROTO_ANY);
    assert_int_equal(parse("worker@00000000000000ff.run", &t), ERR_OK);
    assert_int_equal(t.reach, PROTO_ONE);
    assert_int_equal(t.instance, 0xff);
    assert_int_equal(parse("gateway@*.revoked", &t), ERR_OK);
    assert_int_equal(t.reach, PROTO_ALL);
    static const char *const bad[] = {"",          "jobs",     "jobs.",        ".submit",
                                      "Jobs.x",    "jobs.a.b", "jobs@.x",      "jobs@12.x",
                                      "jobs@**.x", "j obs.x",  "jobs.sub-mit", "1jobs.x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &t), ERR_BAD_FRAME);
}

static enum err check(const char *method, const char *text, char *why)
{
    AUTOJSON json_t *body = json_loads(text, JSON_DECODE_ANY, NULL);
    return proto_check(proto_method_find("jobs", method)->args, body, why);
}

static void test_bodies(void **state)
{
    (void)state;
    char why[PROTO_WHY_SIZE] = "";
    assert_int_equal(check("cancel", "{\"job_id\": \"a\", \"user_id\": \"b\", \"new\": 1}", why),
                     ERR_OK);
    assert_int_equal(check("cancel", "{\"job_id\": \"a\"}", why), ERR_INVALID);
    assert_string_equal(why, "user_id is missing");
    assert_int_equal(check("cancel", "{\"job_id\": 7, \"user_id\": \"b\"}", why), ERR_INVALID);
    assert_int_equal(check("cancel", "[]", why), ERR_INVALID);
    char text[400];
    snprintf(text, sizeof text, "{\"job_id\": \"%0257d\", \"user_id\": \"b\"}", 1);
    assert_int_equal(check("cancel", text, why), ERR_INVALID);
    static const char *const found[][2] = {
        {"auth", "begin"},  {"auth", "callback"},   {"jobs", "get"},      {"jobs", "get_many"},
        {"jobs", "submit"}, {"gateway", "revoked"}, {"worker", "cancel"}, {"worker", "run"}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", found[i][0], found[i][1]);
        const struct proto_method *method = proto_method_find(found[i][0], found[i][1]);
        assert_non_null(method);
        assert_string_equal(method->name, name);
    }
    assert_null(proto_method_find("", ""));
    assert_null(proto_method_find("aaa", "z"));
    assert_null(proto_method_find("zzz", "a"));
    assert_null(proto_method_find("jobs.submit", "x"));
    assert_null(proto_method_find("jobs", "nothing"));
    assert_null(proto_method_find("job", "s.submit"));
}

static void test_instances(void **state)
{
    (void)state;
    char text[17];
    uint64_t instance = 0;
    proto_instance_format(0xabc, text);
    assert_string_equal(text, "0000000000000abc");
    assert_true(proto_instance_parse(text, 16, &instance));
    assert_int_equal(instance, 0xabc);
    assert_false(proto_instance_parse("0000000000000ABC", 16, &instance));
    assert_false(proto_instance_parse(text, 15, &instance));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_round_trip), cmocka_unit_test(test_header_fails_closed),
        cmocka_unit_test(test_targets),           cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_instances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
