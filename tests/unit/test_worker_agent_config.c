/* What a deployment sets for its agents: what is taken, and what is refused by which name. */
#include "tests/unit/unit.h"

#include <string.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/agent_config.h"

static struct settings defaults(void)
{
    return (struct settings){.openai_model = "m",
                             .max_turns = 25,
                             .model_context = 128000,
                             .time_zone = "UTC",
                             .approval = "none"};
}

static json_t *load(const struct settings *settings)
{
    char why[AGENT_CONFIG_WHY_SIZE] = "";
    json_t *config = NULL;
    assert_int_equal(agent_config_load(settings, &config, why), ERR_OK);
    return config;
}

static void assert_refused(const struct settings *settings, const char *name)
{
    char why[AGENT_CONFIG_WHY_SIZE] = "";
    json_t *config = NULL;
    assert_int_equal(agent_config_load(settings, &config, why), ERR_INVALID);
    assert_null(config);
    assert_int_equal(strncmp(why, name, strlen(name)), 0);
    assert_non_null(strstr(why, " takes "));
}

static void test_defaults(void **state)
{
    (void)state;
    struct settings settings = defaults();
    AUTOJSON json_t *config = load(&settings);
    assert_string_equal(js_str(config, "model", ""), "m");
    assert_int_equal(js_int(config, "max_tokens", -1), 0);
    assert_null(json_object_get(config, "max_cost"));
    assert_null(json_object_get(config, "system_prompt"));
    assert_int_equal(json_object_size(json_object_get(config, "prices")), 0);
    assert_int_equal(json_array_size(json_object_get(config, "approval_tools")), 0);
}

static void test_prices(void **state)
{
    static const char *const BAD[] = {"x",
                                      "[]",
                                      "{\"m\": 1}",
                                      "{\"m\": [1, 2]}",
                                      "{\"m\": [1, 2, \"3\"]}",
                                      "{\"m\": [1, 2, -3]}",
                                      "{\"\": [1, 2, 3]}",
                                      "{\"m\": [1, 2, 1e9]}"};
    (void)state;
    struct settings settings = defaults();
    settings.model_prices = "{\"m\": [2.5, 1.25, 10]}";
    AUTOJSON json_t *config = load(&settings);
    assert_int_equal(json_array_size(json_object_get(json_object_get(config, "prices"), "m")), 3);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        settings.model_prices = BAD[i];
        assert_refused(&settings, "MODEL_PRICES");
    }
}

static void test_cost(void **state)
{
    static const char *const BAD[] = {"x", "-1", "0", "1,5", "nan", "inf", "1e999", "2 USD"};
    (void)state;
    struct settings settings = defaults();
    settings.run_max_cost = "0.25";
    AUTOJSON json_t *config = load(&settings);
    assert_true(json_real_value(json_object_get(config, "max_cost")) > 0.24);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        settings.run_max_cost = BAD[i];
        assert_refused(&settings, "RUN_MAX_COST");
    }
}

static void test_time_zones(void **state)
{
    static const char *const BAD[] = {"",     "Mars/Base", "../../etc/passwd", "/etc/localtime",
                                      ":UTC", "Europe",    "tzdata.zi",        "Europe/Berlin "};
    (void)state;
    struct settings settings = defaults();
    assert_true(agent_config_is_time_zone("UTC"));
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
        assert_true(agent_config_is_time_zone("Europe/Berlin"));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        settings.time_zone = BAD[i];
        assert_refused(&settings, "TIME_ZONE");
    }
}

static void test_approval_tools(void **state)
{
    (void)state;
    struct settings settings = defaults();
    settings.approval_tools = " s__a, google__gmail_* ,,*";
    AUTOJSON json_t *config = load(&settings);
    AUTOFREE char *names = js_dump(json_object_get(config, "approval_tools"));
    assert_string_equal(names, "[\"s__a\",\"google__gmail_*\",\"*\"]");
    settings.approval_tools = "a*b";
    assert_refused(&settings, "APPROVAL_TOOLS");
}

static void test_prompt_of_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/test_prompt_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "Hello {date}\n", 13), 13);
    struct settings settings = defaults();
    settings.system_prompt = "not this";
    settings.system_prompt_file = path;
    AUTOJSON json_t *config = load(&settings);
    assert_string_equal(js_str(config, "system_prompt", ""), "Hello {date}\n");
    assert_int_equal(write(fd, "\xff", 1), 1);
    assert_refused(&settings, "SYSTEM_PROMPT_FILE");
    close(fd);
    unlink(path);
    assert_refused(&settings, "SYSTEM_PROMPT_FILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_prices),
        cmocka_unit_test(test_cost),           cmocka_unit_test(test_time_zones),
        cmocka_unit_test(test_approval_tools), cmocka_unit_test(test_prompt_of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
