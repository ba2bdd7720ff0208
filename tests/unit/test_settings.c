#include "tests/unit/unit.h"

#include <unistd.h>

#include "libcommon/mem.h"
#include "libcommon/settings.h"

struct config {
    const char *text, *secret, *url, *choice;
    int64_t number;
};

static const struct setting table[] = {
    {"T_TEXT", SETTING_STRING, offsetof(struct config, text), "standard", 0, 0, NULL, "a text"},
    {"T_SECRET", SETTING_SECRET, offsetof(struct config, secret), NULL, 8, 64, NULL, "a secret"},
    {"T_URL", SETTING_URL, offsetof(struct config, url), NULL, 0, 0, NULL, "an address"},
    {"T_CHOICE", SETTING_CHOICE, offsetof(struct config, choice), "red", 0, 0, "red,green", "one"},
    {"T_NUMBER", SETTING_INT, offsetof(struct config, number), "5", 1, 10, NULL, "a number"},
    {"T_OLD", SETTING_OBSOLETE, 0, NULL, 0, 0, NULL, "not needed"},
};
enum { COUNT = sizeof table / sizeof *table };

static int notices;
static char notice[200];
static struct config config;
static char why[SETTINGS_WHY_SIZE];

static void on_notice(const char *name, const char *what)
{
    assert_non_null(what);
    assert_null(strstr(name, "lost"));
    assert_null(strstr(what, "lost"));
    snprintf(notice, sizeof notice, "%s %s", name, what);
    assert_true(strcmp(name, "T_OLD") == 0 || strcmp(name, "UNKNOWN") == 0 ||
                strcmp(name, "T_NUMBR") == 0 || strcmp(name, "line 9") == 0 ||
                strcmp(name, "line 11") == 0);
    notices++;
}

static void release(void)
{
    free((void *)config.text);
    free((void *)config.secret);
    free((void *)config.url);
    free((void *)config.choice);
}

static enum err load(const char *file_text)
{
    char path[] = "/tmp/test_settings_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file_text, strlen(file_text)), (ssize_t)strlen(file_text));
    close(fd);
    notices = 0;
    why[0] = '\0';
    config = (struct config){0};
    enum err err = settings_load(table, COUNT, path, &config, on_notice, why);
    unlink(path);
    return err;
}

static void test_defaults_and_file(void **state)
{
    (void)state;
    assert_int_equal(load(""), ERR_OK);
    assert_string_equal(config.text, "standard");
    assert_null(config.secret);
    assert_int_equal(config.number, 5);
    release();
    assert_int_equal(load("# comment\nexport T_TEXT=\"a \\\"b\\\" # c\"\nT_NUMBER = 7 # seven\n"
                          "T_SECRET='with space # kept'\nT_URL=https://example.com/x\n"
                          "T_CHOICE=green\nT_OLD=redis\nUNKNOWN=1\nlost words\n\nlost x=name\n"),
                     ERR_OK);
    assert_string_equal(config.text, "a \"b\" # c");
    assert_string_equal(config.secret, "with space # kept");
    assert_int_equal(config.number, 7);
    assert_string_equal(config.choice, "green");
    assert_int_equal(notices, 4);
    release();
}

static void test_a_name_that_is_near(void **state)
{
    (void)state;
    assert_int_equal(load("T_NUMBR=7\n"), ERR_OK);
    assert_string_equal(
        notice, "T_NUMBR is not a setting of mcpbus; it is ignored (did you mean T_NUMBER?)");
    release();
    assert_int_equal(load("UNKNOWN=7\n"), ERR_OK);
    assert_string_equal(notice, "UNKNOWN is not a setting of mcpbus; it is ignored");
    release();
}

static void test_environment_wins(void **state)
{
    (void)state;
    setenv("T_NUMBER", "9", 1);
    assert_int_equal(load("T_NUMBER=7\n"), ERR_OK);
    assert_int_equal(config.number, 9);
    release();
    setenv("T_NUMBER", "", 1); /* empty is unset */
    assert_int_equal(load("T_NUMBER=7\n"), ERR_OK);
    assert_int_equal(config.number, 7);
    release();
    unsetenv("T_NUMBER");
}

static void refused(const char *file_text, const char *name)
{
    assert_int_equal(load(file_text), ERR_INVALID);
    assert_non_null(strstr(why, name));
    release();
}

static void test_malformed_values(void **state)
{
    (void)state;
    refused("T_NUMBER=eleven\n", "T_NUMBER takes a whole number from 1 to 10");
    refused("T_NUMBER=11\n", "T_NUMBER");
    refused("T_NUMBER=5x\n", "T_NUMBER");
    refused("T_CHOICE=re\n", "T_CHOICE takes one of red,green");
    refused("T_CHOICE=red,green\n", "T_CHOICE");
    refused("T_URL=ftp://x\n", "T_URL");
    refused("T_URL=http://\n", "T_URL");
    refused("T_SECRET=geheim\n", "T_SECRET");
    assert_null(strstr(why, "geheim")); /* a secret is never shown */
}

static void test_env_example_lists_all(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    settings_print_env_example(table, COUNT, out);
    settings_print_help(table, COUNT, out);
    fclose(out);
    for (size_t i = 0; i < COUNT; i++)
        assert_non_null(strstr(text, table[i].name));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_file),     cmocka_unit_test(test_a_name_that_is_near),
        cmocka_unit_test(test_environment_wins),      cmocka_unit_test(test_malformed_values),
        cmocka_unit_test(test_env_example_lists_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
