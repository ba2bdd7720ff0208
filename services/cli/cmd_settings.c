#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/cli/args.h"
#include "services/cli/output.h"
#include "services/settings.h"

static json_t *words_of(const char *choices)
{
    json_t *words = json_array();
    while (choices && *choices) {
        size_t len = strcspn(choices, ",");
        json_array_append_new(words, json_stringn(choices, len));
        choices += len + (choices[len] == ',');
    }
    return words;
}

/* {"name", "type", "default", "help"}, and "min" and "max" of numbers, "choices" of a choice. */
static json_t *about(const struct setting *setting)
{
    static const char *const types[] = {
        [SETTING_STRING] = "text", [SETTING_SECRET] = "secret", [SETTING_INT] = "number",
        [SETTING_URL] = "url",     [SETTING_CHOICE] = "choice", [SETTING_OBSOLETE] = "obsolete"};
    json_t *row = json_pack("{s:s, s:s, s:s?, s:s}", "name", setting->name, "type",
                            types[setting->type], "default", setting->def, "help", setting->help);
    if (setting->type == SETTING_INT) {
        json_object_set_new(row, "min", json_integer(setting->min));
        json_object_set_new(row, "max", json_integer(setting->max));
    } else if (setting->type == SETTING_CHOICE) {
        json_object_set_new(row, "choices", words_of(setting->choices));
    }
    return row;
}

static void print_json(void)
{
    AUTOJSON json_t *all = json_array();
    for (size_t i = 0; i < settings_count; i++)
        json_array_append_new(all, about(&settings_table[i]));
    output_json(all);
}

int cmd_settings(int argc, char **argv)
{
    struct args args;
    if (args_parse("settings", argc, argv, 0, 0, &args))
        return CLI_USAGE;
    if (args_flag(&args, "--json"))
        print_json();
    else if (args_flag(&args, "--env-example"))
        settings_print_env_example(settings_table, settings_count, stdout);
    else
        settings_print_help(settings_table, settings_count, stdout);
    return CLI_OK;
}
