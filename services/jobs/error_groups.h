/* Errors that differ only in numbers, ids and quoted parts are one. Plain functions, no I/O. */
#ifndef MCPBUS_JOBS_ERROR_GROUPS_H
#define MCPBUS_JOBS_ERROR_GROUPS_H

#include "services/jobs/store.h"

enum { ERROR_GROUPS_MAX = 100, ERROR_TEXT_SIZE = 256 };

/* The text that stands for all that are alike: each number, and each word of 6 characters or more
 * that has a digit, is "#"; a quoted part is "…" in its quotes; blanks and control characters are
 * one blank. Cut at a character's border. `text` must be UTF-8. */
void error_groups_text(const char *text, char ret_text[ERROR_TEXT_SIZE]);

/* The answer of jobs.errors: failures, newest first, as groups, the most frequent first. */
json_t *error_groups_json(const struct store_failure *failures, size_t count);

#endif
