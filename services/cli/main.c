/* mcpbus: the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/cli/migrate.h"
#include "services/settings.h"

enum { STATUS_USAGE = 2, PATIENCE_MS = 10000 };

struct command {
    const char *name, *arguments, *help;
    int (*run)(int argc, char **argv);
};

static const struct command *find(const char *name);
static void print_help(FILE *out);

static int usage(const char *command)
{
    fprintf(stderr, "usage: mcpbus %s %s\n", command, find(command)->arguments);
    return STATUS_USAGE;
}

static void notice(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
}

static int run_migrate(int argc, char **argv)
{
    const char *env_file = ".env";
    bool status = false;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--status"))
            status = true;
        else if (!strcmp(argv[i], "--env-file") && i + 1 < argc)
            env_file = argv[++i];
        else
            return usage("migrate");
    }
    static struct settings settings;
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(settings_table, settings_count, env_file, &settings, notice, why)) {
        fprintf(stderr, "%s\n", why);
        return EXIT_FAILURE;
    }
    if (!settings.database_url) {
        fprintf(stderr, "DATABASE_URL is not set: postgresql://user:password@host:5432/name\n");
        return EXIT_FAILURE;
    }
    char problem[MIGRATE_WHY_SIZE] = "";
    enum err error =
        (status ? migrate_status : migrate)(settings.database_url, PATIENCE_MS, stdout, problem);
    if (error)
        fprintf(stderr, "%s\n", problem);
    return error ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_settings(int argc, char **argv)
{
    if (argc == 1 && !strcmp(argv[0], "--env-example"))
        settings_print_env_example(settings_table, settings_count, stdout);
    else if (argc == 0)
        settings_print_help(settings_table, settings_count, stdout);
    else
        return usage("settings");
    return EXIT_SUCCESS;
}

static int run_version(int argc, char **argv)
{
    (void)argv;
    if (argc)
        return usage("version");
    printf("mcpbus %s\n", MCPBUS_VERSION);
    return EXIT_SUCCESS;
}

static int run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_help(stdout);
    return EXIT_SUCCESS;
}

static const struct command commands[] = {
    {"migrate", "[--status] [--env-file FILE]",
     "brings the database of DATABASE_URL up to date, or tells what is missing", run_migrate},
    {"settings", "[--env-example]", "lists every setting, or prints an .env file with them",
     run_settings},
    {"version", "", "prints the version", run_version},
    {"help", "", "prints this", run_help},
};

static const struct command *find(const char *name)
{
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version"))
        name = "version";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: mcpbus COMMAND\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-9s %-29s %s\n", commands[i].name, commands[i].arguments,
                commands[i].help);
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;
    if (!command) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    return command->run(argc - 2, argv + 2);
}
