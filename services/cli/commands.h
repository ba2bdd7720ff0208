/* The command line: one table of commands (commands.c), one file for each (cmd_X.c). Help, the man
 * page, docs/cli.md and the shells' completion are made from the table, so a new command is a row
 * and a file. */
#ifndef MCPBUS_CLI_COMMANDS_H
#define MCPBUS_CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* What a script may rely on. */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,    /* the call or job failed, or what was asked can't be done */
    CLI_USAGE = 2,     /* wrong arguments or settings */
    CLI_NO_BROKER = 3, /* no broker answers, or none admits the key */
    CLI_TIMEOUT = 4,   /* no answer in time; a job may go on */
    CLI_INTERRUPTED = 130,
};

/* `value`: what the option takes, NULL for a flag. FILE and DIR are completed as paths, "a|b" as
 * these words. */
struct command_option {
    const char *name; /* "--status"; NULL ends a list */
    const char *value;
    const char *help;
};

struct command {
    const char *name;      /* "migrate"; "jobs list" is a command below "jobs" */
    const char *arguments; /* "SERVICE.METHOD [JSON]", "bash|zsh|fish", without options */
    const char *summary;   /* half a line */
    const char *details;   /* paragraphs for help and the man page; NULL: none */
    const struct command_option *options; /* NULL: none */
    bool on_bus;                          /* takes the options of bus_session.h too */
    /* The arguments behind the name; the result is an enum cli_status. */
    int (*run)(int argc, char **argv);
};

extern const struct command commands[];
extern const size_t command_count;
extern const struct command_option bus_options_common[];

/* The command whose words `argv` begins with, the longest; NULL: none. `ret_words`: how many they
 * are. */
const struct command *command_find(int argc, char *const *argv, int *ret_words);
/* The row of a name; never NULL for one that is in the table. */
const struct command *command_row(const char *name);

/* One line on stderr; CLI_USAGE. */
int command_usage(const char *name);

int cmd_call(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_backup_check(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_secrets_status(int argc, char **argv);
int cmd_jobs_approve(int argc, char **argv);
int cmd_jobs_cancel(int argc, char **argv);
int cmd_jobs_deny(int argc, char **argv);
int cmd_jobs_events(int argc, char **argv);
int cmd_jobs_get(int argc, char **argv);
int cmd_jobs_list(int argc, char **argv);
int cmd_jobs_retry(int argc, char **argv);
int cmd_jobs_watch(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_settings(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_users(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_workers(int argc, char **argv);
int cmd_workers_drain(int argc, char **argv);
int cmd_workers_resume(int argc, char **argv);

#endif
