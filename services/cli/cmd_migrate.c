#include <stdio.h>

#include "services/cli/args.h"
#include "services/cli/migrate.h"
#include "services/settings.h"

enum { PATIENCE_MS = 10000 };

static void notice(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
}

int cmd_migrate(int argc, char **argv)
{
    struct args args;
    if (args_parse("migrate", argc, argv, 0, 0, &args))
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
    bool status = args_flag(&args, "--status");
    enum err error =
        (status ? migrate_status : migrate)(settings.database_url, PATIENCE_MS, stdout, problem);
    if (error)
        fprintf(stderr, "%s\n", problem);
    return error ? CLI_FAILED : CLI_OK;
}
