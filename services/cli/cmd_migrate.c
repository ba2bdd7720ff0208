#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/migrate.h"
#include "services/cli/output.h"
#include "services/cli/own_settings.h"

enum { PATIENCE_MS = 10000, WAIT_MAX_S = 86400 };

static const struct needed_setting needed[] = {
    {"DATABASE_URL", "postgresql://user:password@host:5432/name",
     offsetof(struct settings, database_url)},
    {NULL, NULL, 0},
};

static void print_list(const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *when = js_str(one, "applied_at", NULL);
        printf("%s %s%s\n", js_str(one, "name", ""), when ? "applied " : "missing",
               when ? when : "");
    }
}

static size_t count_missing(const json_t *list)
{
    size_t missing = 0, i;
    json_t *one;
    json_array_foreach(list, i, one) missing += !js_str(one, "applied_at", NULL);
    return missing;
}

static enum err show_status(const struct settings *settings, bool json, char *ret_why)
{
    AUTOJSON json_t *list = NULL;
    enum err error = migrate_status(settings->database_url, PATIENCE_MS, &list, ret_why);
    if (error)
        return error;
    if (json) {
        AUTOJSON json_t *all =
            json_pack("{s:O, s:I}", "migrations", list, "missing", (json_int_t)count_missing(list));
        output_json(all);
    } else {
        print_list(list);
    }
    return ERR_OK;
}

static enum err change(const struct settings *settings, const struct args *args, int wait_s,
                       FILE *out, char *ret_why)
{
    if (args_flag(args, "--wait"))
        return migrate_wait(settings->database_url, wait_s * 1000, out, ret_why);
    return migrate_with(
        settings->database_url, PATIENCE_MS,
        &(struct migrate_options){.pending_hours = (int)settings->migrate_pending_hours,
                                  .run_running = !strcmp(settings->migrate_running, "run"),
                                  .dry_run = args_flag(args, "--dry-run")},
        out, ret_why);
}

/* {"ok": true, "said": [line, …]} */
static enum err change_json(const struct settings *settings, const struct args *args, int wait_s,
                            char *ret_why)
{
    AUTOFREE char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return ERR_INTERNAL;
    enum err error = change(settings, args, wait_s, memory, ret_why);
    fclose(memory);
    if (error)
        return error;
    json_t *said = json_array();
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            json_array_append_new(said, json_string(line));
    AUTOJSON json_t *all = json_pack("{s:b, s:o}", "ok", 1, "said", said);
    output_json(all);
    return ERR_OK;
}

int cmd_migrate(int argc, char **argv)
{
    struct args args;
    int64_t wait_s = 0;
    static struct settings settings;
    char why[MIGRATE_WHY_SIZE] = "";
    if (args_parse("migrate", argc, argv, 0, 0, &args) ||
        args_int(&args, "--wait", 0, 0, WAIT_MAX_S, &wait_s) ||
        own_settings_load(&args, needed, &settings))
        return CLI_USAGE;
    bool json = args_flag(&args, "--json");
    enum err error = args_flag(&args, "--status") ? show_status(&settings, json, why)
                     : json                       ? change_json(&settings, &args, (int)wait_s, why)
                            : change(&settings, &args, (int)wait_s, stdout, why);
    if (error && json)
        output_error(err_name(error), why, error == ERR_PEER_LOST || error == ERR_TIMEOUT, 0);
    if (error)
        output_say(stderr, "mcpbus migrate: %s\n", why);
    return error ? CLI_FAILED : CLI_OK;
}
