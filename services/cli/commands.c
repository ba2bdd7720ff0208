#include "services/cli/commands.h"

#include <stdio.h>
#include <string.h>

#define ENV_FILE                                                                     \
    {                                                                                \
        "--env-file", "FILE", "settings that the environment lacks; .env by default" \
    }
#define END              \
    {                    \
        NULL, NULL, NULL \
    }

const struct command_option bus_options_common[] = {
    {"--brokers", "ENDPOINTS", "the brokers, with commas; default: BROKER_ENDPOINT"},
    ENV_FILE,
    END,
};

static const struct command_option migrate_options[] = {
    {"--status", NULL, "tells what is applied and what is missing; changes nothing"},
    {"--dry-run", NULL, "does it all, says what it was, and takes it back"},
    {"--wait", "SECONDS", "changes nothing, but waits until another has brought it up to date"},
    ENV_FILE,
    END,
};

static const struct command_option secrets_options[] = {ENV_FILE, END};

static const struct command_option settings_options[] = {
    {"--env-example", NULL, "prints a .env file with every setting, commented"},
    END,
};

static const struct command_option keygen_options[] = {
    {"--dir", "DIR", "the key folder; default: BUS_KEYS"},
    {"--name", "NAME", "of the files, NAME.key and NAME.key_secret; default: the role's"},
    {"--role", "ROLE", "the same as the argument"},
    {"--call", "METHODS", "for a client: what it may call, such as jobs.submit,billing.*"},
    {"--serve", "SERVICES", "for a client: the services that it may serve, such as billing"},
    {"--rotate", "NAME", "gives it a new key pair; the old public key stays valid as NAME.old.key"},
    {"--retire", "NAME", "ends a rotation: the old key is not valid any more"},
    ENV_FILE,
    END,
};

const struct command commands[] = {
    {"migrate", "", "brings the database of DATABASE_URL up to date", NULL, migrate_options, false,
     cmd_migrate},
    {"keygen", "[ROLE]…", "makes keys for the bus, one for each role if none is named",
     "The roles are broker, gateway, auth, jobs, worker, monitor, admin and client. Files that are "
     "there are never overwritten. docs/keys.md tells how to distribute, rotate and revoke keys.",
     keygen_options, false, cmd_keygen},
    {"settings", "", "lists every setting", NULL, settings_options, false, cmd_settings},
    {"secrets status", "", "tells which key encrypts how many of the stored tokens",
     "Exits with 0 when all are under the key that encrypts now, so that another one may be dropped. "
     "docs/secrets.md tells how to change keys.",
     secrets_options, false, cmd_secrets_status},
    {"version", "", "prints the version", NULL, NULL, false, cmd_version},
    {"help", "[COMMAND]", "prints the commands, or all about one", NULL, NULL, false, cmd_help},
};
const size_t command_count = sizeof commands / sizeof *commands;

/* How many arguments the words of a name take at the head of argv; 0: it is another. */
static int match(const char *name, int argc, char *const *argv)
{
    int words = 0;
    for (;; words++, name++) {
        size_t len = strcspn(name, " ");
        if (words == argc || strlen(argv[words]) != len || strncmp(argv[words], name, len) != 0)
            return 0;
        name += len;
        if (!*name)
            return words + 1;
    }
}

const struct command *command_find(int argc, char *const *argv, int *ret_words)
{
    const struct command *found = NULL;
    int most = 0;
    for (size_t i = 0; i < command_count; i++) {
        int words = match(commands[i].name, argc, argv);
        if (words > most) {
            most = words;
            found = &commands[i];
        }
    }
    if (found)
        *ret_words = most;
    return found;
}

const struct command *command_row(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

int command_usage(const char *name)
{
    const struct command *row = command_row(name);
    fprintf(stderr, "usage: mcpbus %s%s%s%s\n", name,
            row->options || row->on_bus ? " [OPTION]…" : "", *row->arguments ? " " : "",
            row->arguments);
    fprintf(stderr, "mcpbus help %s says more\n", name);
    return CLI_USAGE;
}
