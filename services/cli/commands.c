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

#define JSON                                                  \
    {                                                         \
        "--json", NULL, "prints JSON, one value, for scripts" \
    }
#define OF_USER                                                                       \
    {                                                                                 \
        "--user", "USER", "the id or email address of a user: the job must be theirs" \
    }

const struct command_option bus_options_common[] = {
    {"--brokers", "ENDPOINTS", "tcp://HOST:PORT, several with commas; else BROKER_ENDPOINT"},
    {"--keys", "DIR", "folder of certificates; else BUS_KEYS"},
    {"--key", "FILE",
     "the secret certificate to speak with; else BUS_KEY, else admin.key_secret "
     "in the folder"},
    {"--timeout", "SECONDS", "how long to wait"},
    ENV_FILE,
    END,
};

static const struct command_option call_options[] = {
    {"--stream", NULL, "prints each part of a stream, before the answer"},
    {"--one-way", NULL,
     "sends and waits for no answer, which may get lost; SERVICE@*.METHOD: to "
     "every replica"},
    {"--json", NULL, "prints an error as JSON, too: error, detail, retry, retry_after_ms"},
    END,
};

static const struct command_option run_options[] = {
    {"--user", "USER", "whose job it is: a user's id, or the email address that they sign in with"},
    {"--conversation", "ID", "goes on with this conversation of the user's"},
    {"--model", "NAME", "the model to ask"},
    {"--tools", "NAMES", "the only tools that it may use, with commas: SERVER__TOOL"},
    {"--max-turns", "N", "model calls at most"},
    {"--time-zone", "ZONE", "the user's, such as Europe/Berlin"},
    {"--callback-url", "URL", "told how the job ends (docs/webhooks.md)"},
    {"--idempotency-key", "KEY", "the same key from the same user gives the same job"},
    {"--wait", NULL, "until the job ends; it is so anyway"},
    {"--no-wait", NULL, "prints the job's id once it is committed, and ends"},
    JSON,
    END,
};

static const struct command_option retry_options[] = {
    OF_USER,
    {"--no-wait", NULL, "prints the new job's id once it is committed, and ends"},
    JSON,
    END,
};

static const struct command_option list_options[] = {
    {"--user", "USER", "only of this user, by id or email address"},
    {"--status", "pending|running|completed|failed|cancelled",
     "only those that are so; without "
     "--user: of the newest 10,000"},
    {"--conversation", "ID", "only of this conversation; with --user"},
    {"--limit", "N", "at most so many; 20 by default"},
    JSON,
    END,
};

static const struct command_option one_options[] = {OF_USER, JSON, END};

static const struct command_option events_options[] = {
    OF_USER,
    {"--follow", NULL, "until the job ends"},
    {"--after", "N", "only those behind this number"},
    {"--json", NULL, "each event as one line of JSON"},
    END,
};

static const struct command_option approve_options[] = {
    OF_USER,
    {"--call", "ID", "only this call, may be given several times; the others are denied"},
    JSON,
    END,
};

static const struct command_option deny_options[] = {
    OF_USER,
    {"--reason", "TEXT", "what the model is told"},
    JSON,
    END,
};

static const struct command_option json_options[] = {JSON, END};

static const struct command_option status_options[] = {
    {"--watch", NULL, "looks again every two seconds, until Ctrl-C"},
    {"--json", NULL, "prints JSON, one value, for scripts; with --watch one on each line"},
    END,
};

static const struct command_option drain_options[] = {
    {"--wait", NULL, "until they have no runs any more"},
    JSON,
    END,
};

static const struct command_option help_options[] = {
    {"--man", NULL, "prints the manual page mcpbus(1)"},
    {"--markdown", NULL, "prints the reference of docs/cli.md"},
    {"--json", NULL, "prints the table of commands, options and exit statuses as JSON"},
    END,
};

static const struct command_option migrate_options[] = {
    {"--status", NULL, "tells what is applied and what is missing; changes nothing"},
    {"--dry-run", NULL, "does it all, says what it was, and takes it back"},
    {"--wait", "SECONDS", "changes nothing, but waits until another has brought it up to date"},
    JSON,
    ENV_FILE,
    END,
};

static const struct command_option backup_options[] = {
    {"--original", "URL",
     "the database that was backed up, if it can be reached: what is missing?"},
    JSON,
    ENV_FILE,
    END,
};

static const struct command_option secrets_options[] = {JSON, ENV_FILE, END};

static const struct command_option settings_options[] = {
    {"--env-example", NULL, "prints a .env file with every setting, commented"},
    JSON,
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
    JSON,
    ENV_FILE,
    END,
};

const struct command commands[] = {
    {"run", "MESSAGE", "runs a job for a user, shows what it does and prints its result",
     "A MESSAGE of - is read from standard input. On a terminal the job's events are shown as they\n"
     "come, on stderr, with a line that tells what goes on now; stdout has the result alone. When the\n"
     "job waits for approval of tool calls, the terminal is asked. --timeout ends the waiting, not the\n"
     "job. Ctrl-C leaves the job running and says how to look after it; on a terminal a second Ctrl-C\n"
     "within three seconds cancels it. The exit status is 0 only when the job completed.",
     run_options, true, cmd_run},
    {"call", "SERVICE.METHOD [JSON]", "calls a method of the bus and prints its answer",
     "JSON is an object, {} by default, and - stands for standard input. SERVICE@INSTANCE.METHOD\n"
     "calls one replica. The methods are in proto/PROTOCOL.md.",
     call_options, true, cmd_call},
    {"jobs list", "", "lists the newest jobs", NULL, list_options, true, cmd_jobs_list},
    {"jobs get", "JOB", "shows a job", NULL, one_options, true, cmd_jobs_get},
    {"jobs events", "JOB", "shows what a job did", NULL, events_options, true, cmd_jobs_events},
    {"jobs watch", "JOB", "follows a job to its end and prints its result",
     "As mcpbus run does, from the job's first event on.", one_options, true, cmd_jobs_watch},
    {"jobs cancel", "JOB", "cancels a job; one that has ended stays as it is", NULL, one_options,
     true, cmd_jobs_cancel},
    {"jobs approve", "JOB", "approves the tool calls that a job waits with", NULL, approve_options,
     true, cmd_jobs_approve},
    {"jobs deny", "JOB", "denies them; the job goes on without", NULL, deny_options, true,
     cmd_jobs_deny},
    {"jobs retry", "JOB", "runs a new job with the message and options of an old one",
     "Follows it as mcpbus run does.", retry_options, true, cmd_jobs_retry},
    {"status", "", "tells whether all is well: brokers, replicas, queue, workers",
     "The exit status is 0 when all is well, 1 when something is wrong, 3 when no broker answers.",
     status_options, true, cmd_status},
    {"workers", "[list]", "lists the workers with their load", NULL, json_options, true,
     cmd_workers},
    {"workers drain", "NAME", "lets workers take no more jobs; what they run goes on",
     "NAME is a host (all of its workers), or how an instance or session begins. A drained worker\n"
     "stays, and takes jobs again when it is told to, or after a restart.",
     drain_options, true, cmd_workers_drain},
    {"workers resume", "NAME", "lets them take jobs again", NULL, json_options, true,
     cmd_workers_resume},
    {"users", "EMAIL", "finds users by their email address", NULL, json_options, true, cmd_users},
    {"migrate", "", "brings the database of DATABASE_URL up to date", NULL, migrate_options, false,
     cmd_migrate},
    {"backup-check", "", "tells whether a restored database is complete and usable",
     "DATABASE_URL is that of the restored copy; JWT_SECRET and TOKEN_ENCRYPTION_KEY are those of "
     "the backup. It only reads. Exits with 0 when the copy is usable. docs/backup.md tells how to "
     "make, restore and try backups.",
     backup_options, false, cmd_backup_check},
    {"keygen", "[ROLE]…", "makes keys for the bus, one for each role if none is named",
     "The roles are broker, gateway, auth, jobs, worker, monitor, admin and client. Files that are "
     "there are never overwritten. docs/keys.md tells how to distribute, rotate and revoke keys.",
     keygen_options, false, cmd_keygen},
    {"settings", "", "lists every setting", NULL, settings_options, false, cmd_settings},
    {"secrets status", "", "tells which key encrypts how many of the stored tokens",
     "Exits with 0 when all are under the key that encrypts now, so that another one may be dropped. "
     "docs/secrets.md tells how to change keys.",
     secrets_options, false, cmd_secrets_status},
    {"completion", "bash|zsh|fish", "prints a script that completes these commands in a shell",
     "bash: source <(mcpbus completion bash), or put the output into\n"
     "/etc/bash_completion.d/mcpbus. zsh: the same with zsh in ~/.zshrc, behind compinit. fish:\n"
     "mcpbus completion fish >~/.config/fish/completions/mcpbus.fish",
     NULL, false, cmd_completion},
    {"version", "", "prints the version", NULL, json_options, false, cmd_version},
    {"help", "[COMMAND]", "prints the commands, or all about one", NULL, help_options, false,
     cmd_help},
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
