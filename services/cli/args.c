#include "services/cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/near.h"
#include "services/cli/output.h"

static const struct command_option *find_in(const struct command_option *options, const char *name,
                                            size_t len)
{
    for (; options && options->name; options++)
        if (strlen(options->name) == len && !strncmp(options->name, name, len))
            return options;
    return NULL;
}

static const struct command_option *find(const struct command *command, const char *name,
                                         size_t len)
{
    const struct command_option *option = find_in(command->options, name, len);
    if (!option && command->on_bus)
        option = find_in(bus_options_common, name, len);
    return option;
}

static enum err refuse(const struct command *command, const char *what, const char *why)
{
    output_say(stderr, "mcpbus %s: %s: %s\n", command->name, what, why);
    command_usage(command->name);
    return ERR_INVALID;
}

static void offer(struct near *near, const struct command_option *options)
{
    for (; options && options->name; options++)
        near_offer(near, options->name);
}

static enum err refuse_option(const struct command *command, const char *text, size_t len)
{
    AUTOFREE char *name = mem_strndup(text, len);
    struct near near;
    char why[96];
    near_begin(&near, name);
    offer(&near, command->options);
    if (command->on_bus)
        offer(&near, bus_options_common);
    near_offer(&near, "--help");
    snprintf(why, sizeof why, "no such option%s%s%s", near.best ? "; did you mean " : "",
             near.best ? near.best : "", near.best ? "?" : "");
    return refuse(command, name, why);
}

/* Whether a value is one of the words of "a|b|c"; options of another kind take any. */
static bool is_one_of(const char *words, const char *value)
{
    size_t len = strlen(value);
    if (!strchr(words, '|'))
        return true;
    for (; *words; words += *words == '|') {
        size_t word_len = strcspn(words, "|");
        if (word_len == len && strncmp(words, value, len) == 0)
            return true;
        words += word_len;
    }
    return false;
}

static enum err refuse_value(const struct command *command, const struct command_option *option,
                             const char *value)
{
    AUTOFREE char *why = mem_printf("takes %s, not \"%s\"", option->value, value);
    return refuse(command, option->name, why);
}

/* One option at argv[*at]; moves on when its value is the next argument. */
static enum err take_option(struct args *args, int argc, char **argv, int *at)
{
    const char *text = argv[*at];
    size_t len = strcspn(text, "=");
    const struct command_option *option = find(args->command, text, len);
    if (!option)
        return refuse_option(args->command, text, len);
    if (!option->value && text[len])
        return refuse(args->command, option->name, "takes no value");
    const char *value = text[len] ? text + len + 1 : NULL;
    if (option->value && !value) {
        if (*at + 1 >= argc)
            return refuse(args->command, option->name, "its value is missing");
        value = argv[++*at];
    }
    if (option->value && !is_one_of(option->value, value))
        return refuse_value(args->command, option, value);
    args->options[args->option_count].name = option->name;
    args->options[args->option_count++].value = value;
    return ERR_OK;
}

enum err args_parse(const char *command, int argc, char **argv, int min_words, int max_words,
                    struct args *ret_args)
{
    struct args args = {.command = command_row(command)};
    bool only_words = false;
    if (argc > ARGS_MAX)
        return refuse(args.command, "too many arguments", "64 at most");
    for (int i = 0; i < argc; i++) {
        enum err error = ERR_OK;
        if (!only_words && !strcmp(argv[i], "--"))
            only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            error = take_option(&args, argc, argv, &i);
        else
            args.words[args.word_count++] = argv[i];
        if (error)
            return error;
    }
    if (args.word_count > max_words)
        return refuse(args.command, args.words[max_words], "not expected");
    if (args.word_count < min_words) {
        command_usage(command);
        return ERR_INVALID;
    }
    *ret_args = args;
    return ERR_OK;
}

const char *args_text(const struct args *args, const char *name, const char *def)
{
    for (int i = args->option_count; i-- > 0;)
        if (!strcmp(args->options[i].name, name))
            return args->options[i].value;
    return def;
}

bool args_flag(const struct args *args, const char *name)
{
    for (int i = 0; i < args->option_count; i++)
        if (!strcmp(args->options[i].name, name))
            return true;
    return false;
}

enum err args_int(const struct args *args, const char *name, int64_t def, int64_t min, int64_t max,
                  int64_t *ret_value)
{
    const char *text = args_text(args, name, NULL);
    if (!text) {
        *ret_value = def;
        return ERR_OK;
    }
    char *end, why[80];
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) {
        snprintf(why, sizeof why, "takes a whole number from %lld to %lld", (long long)min,
                 (long long)max);
        return refuse(args->command, name, why);
    }
    *ret_value = value;
    return ERR_OK;
}
