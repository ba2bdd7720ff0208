/* The command line's table and the parser of arguments. */
#include "tests/unit/unit.h"

#include "services/cli/args.h"

static enum err parse(const char *command, int min, int max, struct args *args, const char *line)
{
    static char copy[256];
    char *argv[ARGS_MAX + 2], *rest = copy, *word;
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    while ((word = strsep(&rest, " ")))
        if (*word)
            argv[argc++] = word;
    return args_parse(command, argc, argv, min, max, args);
}

static void test_options_and_words(void **state)
{
    (void)state;
    struct args args;
    assert_int_equal(parse("run", 1, 1, &args, "--user=a hello --no-wait --brokers b --user c"), 0);
    assert_int_equal(args.word_count, 1);
    assert_string_equal(args.words[0], "hello");
    assert_string_equal(args_text(&args, "--user", "none"), "c");
    assert_string_equal(args_text(&args, "--brokers", NULL), "b");
    assert_string_equal(args_text(&args, "--model", "def"), "def");
    assert_true(args_flag(&args, "--no-wait"));
    assert_false(args_flag(&args, "--json"));
    assert_int_equal(parse("run", 1, 1, &args, "- --user= "), 0);
    assert_string_equal(args.words[0], "-");
    assert_string_equal(args_text(&args, "--user", "none"), "");
    assert_int_equal(parse("run", 0, 3, &args, "--user a -- --json -- x"), 0);
    assert_int_equal(args.word_count, 3);
    assert_string_equal(args.words[0], "--json");
    assert_string_equal(args.words[1], "--");
    assert_false(args_flag(&args, "--json"));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"--user",    "--nothing x", "a b",       "--no-wait=1 a",
                                        "--json= a", "-x a",        "--use a b", "--userx=a a",
                                        "",          "a --"};
    struct args args = {.word_count = 77};
    for (size_t i = 0; i + 1 < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(parse("run", 1, 1, &args, lines[i]), ERR_INVALID);
        assert_int_equal(args.word_count, 77);
    }
    assert_int_equal(parse("run", 1, 1, &args, "a --"), 0);
    /* Only commands of the bus take its options. */
    assert_int_equal(parse("version", 0, 0, &args, "--brokers b"), ERR_INVALID);
}

static void test_too_many(void **state)
{
    (void)state;
    char *argv[ARGS_MAX + 1];
    struct args args;
    for (int i = 0; i <= ARGS_MAX; i++)
        argv[i] = "x";
    assert_int_equal(args_parse("help", ARGS_MAX, argv, 0, ARGS_MAX, &args), 0);
    assert_int_equal(args.word_count, ARGS_MAX);
    assert_int_equal(args_parse("help", ARGS_MAX + 1, argv, 0, ARGS_MAX, &args), ERR_INVALID);
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x", "", "0", "1001", "1x", "99999999999999999999", "1.5"};
    struct args args;
    char line[64];
    int64_t value = 5;
    assert_int_equal(parse("run", 0, 1, &args, ""), 0);
    assert_int_equal(args_int(&args, "--max-turns", 7, 1, 1000, &value), 0);
    assert_int_equal(value, 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "--max-turns=%s", wrong[i]);
        assert_int_equal(parse("run", 0, 1, &args, line), 0);
        assert_int_equal(args_int(&args, "--max-turns", 7, 1, 1000, &value), ERR_INVALID);
        assert_int_equal(value, 7);
    }
    assert_int_equal(parse("run", 0, 1, &args, "--max-turns 1000"), 0);
    assert_int_equal(args_int(&args, "--max-turns", 7, 1, 1000, &value), 0);
    assert_int_equal(value, 1000);
}

static void test_commands(void **state)
{
    (void)state;
    int words = 9;
    char *jobs[] = {"jobs", "list", "x"}, *workers[] = {"workers", "x"}, *none[] = {"job", "list"};
    assert_string_equal(command_find(3, jobs, &words)->name, "jobs list");
    assert_int_equal(words, 2);
    assert_string_equal(command_find(2, workers, &words)->name, "workers");
    assert_int_equal(words, 1);
    workers[1] = "drain";
    assert_string_equal(command_find(2, workers, &words)->name, "workers drain");
    words = 9;
    assert_null(command_find(1, jobs, &words));
    assert_null(command_find(2, none, &words));
    assert_null(command_find(0, none, &words));
    assert_int_equal(words, 9);
}

/* What help, completion and the reference rely on. */
static void test_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        assert_ptr_equal(command_row(command->name), command);
        assert_non_null(command->run);
        assert_true(strlen(command->summary) < 80);
        assert_true(command->summary[strlen(command->summary) - 1] != '.');
        for (const struct command_option *o = command->options; o && o->name; o++) {
            assert_int_equal(strncmp(o->name, "--", 2), 0);
            assert_true(strlen(o->help) > 0);
            for (const struct command_option *c = bus_options_common; command->on_bus && c->name;
                 c++)
                assert_string_not_equal(o->name, c->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_words), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_commands),          cmocka_unit_test(test_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
