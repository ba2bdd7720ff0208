#include <stdio.h>
#include <string.h>

#include "services/cli/args.h"
#include "services/cli/migrate.h"
#include "services/settings.h"

enum { PATIENCE_MS = 10000, WAIT_MAX_S = 86400 };

static void notice(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
}

int cmd_migrate(int argc, char **argv)
{
    struct args args;
    int64_t wait_s = 0;
    if (args_parse("migrate", argc, argv, 0, 0, &args) ||
        args_int(&args, "--wait", 0, 0, WAIT_MAX_S, &wait_s))
        return CLI_USAGE;
    static struct settings settings;
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(settings_table, settings_count, args_text(&args, "--env-file", ".env"),
                      &settings, notice, why)) {
        fprintf(stderr, "%s\n", why);
        return CLI_FAILED;
    }
    if (!settings.database_url) {
        fprintf(stderr, "DATABASE_URL is not set: postgresql://user:password@host:5432/name\n");
        return CLI_FAILED;
    }
    char problem[MIGRATE_WHY_SIZE] = "";
    enum err error;
    if (args_flag(&args, "--status"))
        error = migrate_status(settings.database_url, PATIENCE_MS, stdout, problem);
    else if (args_flag(&args, "--wait"))
        error = migrate_wait(settings.database_url, (int)wait_s * 1000, stdout, problem);
    else
        error = migrate_with(
            settings.database_url, PATIENCE_MS,
            &(struct migrate_options){.pending_hours = (int)settings.migrate_pending_hours,
                                      .run_running = !strcmp(settings.migrate_running, "run"),
                                      .dry_run = args_flag(&args, "--dry-run")},
            stdout, problem);
    if (error)
        fprintf(stderr, "%s\n", problem);
    return error ? CLI_FAILED : CLI_OK;
}
