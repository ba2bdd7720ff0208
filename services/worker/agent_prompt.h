/* The first message of a run: what the model is told about its task, the date and the user. */
#ifndef MCPBUS_WORKER_AGENT_PROMPT_H
#define MCPBUS_WORKER_AGENT_PROMPT_H

#include <jansson.h>
#include <time.h>

struct agent_prompt {
    const char *text;                   /* with placeholders; NULL: our own */
    const char *time_zone;              /* of the user */
    const char *user_name, *user_email; /* "" when unknown */
    const char *notes;                  /* what this run has to know, or "" */
    const json_t *tools;                /* in the form of chat completions */
    time_t now;
};

/* The text; free() it. Known placeholders: {date}, {time}, {time_zone}, {user_name}, {user_email},
 * {tools} (their names), {notes}; others stay as they are. Notes that have no place are put at the
 * end. Names of users are foreign words: they get one line each, and no braces. Changes the
 * process's time zone. */
char *agent_prompt_text(const struct agent_prompt *prompt);

#endif
