/* The table as JSON, for tools that make something of it. */
#include "libcommon/js.h"
#include "services/cli/help.h"
#include "services/cli/output.h"

static json_t *options_of(const struct command_option *option)
{
    json_t *list = json_array();
    for (; option && option->name; option++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s}", "name", option->name, "value",
                                              option->value, "help", option->help));
    return list;
}

static json_t *commands_of_table(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s?, s:b, s:o}", "name", command->name,
                                        "arguments", command->arguments, "summary",
                                        command->summary, "details", command->details, "on_bus",
                                        command->on_bus, "options", options_of(command->options)));
    }
    return list;
}

void help_print_json(void)
{
    json_t *statuses = json_array();
    for (const struct help_status *row = help_statuses; row->meaning; row++)
        json_array_append_new(
            statuses, json_pack("{s:i, s:s}", "status", row->status, "means", row->meaning));
    AUTOJSON json_t *all = json_pack("{s:s, s:o, s:o, s:o}", "version", MCPBUS_VERSION, "commands",
                                     commands_of_table(), "bus_options",
                                     options_of(bus_options_common), "statuses", statuses);
    output_json(all);
}
