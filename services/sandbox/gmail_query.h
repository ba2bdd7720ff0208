/* Gmail's search language. Pure. */
#ifndef MCPBUS_SANDBOX_GMAIL_QUERY_H
#define MCPBUS_SANDBOX_GMAIL_QUERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Does the mail fit the query? Words, "phrases", from:, to:, cc:, subject:, label:, in:, is:, has:,
 * filename:, after:, before:, newer_than:, older_than:, rfc822msgid:, -, OR, ( ) and { }. What is
 * not understood fits nothing. */
bool gmail_query_matches(const char *query, const json_t *mail, int64_t now_ms);

/* Does it ask for the trash, which a search leaves out otherwise? */
bool gmail_query_wants_trash(const char *query);

#endif
