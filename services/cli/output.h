/* What commands print. Colours only on a terminal (NO_COLOR, TERM=dumb: none there either;
 * CLICOLOR_FORCE: everywhere); texts of others can't command a terminal. */
#ifndef MCPBUS_CLI_OUTPUT_H
#define MCPBUS_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum paint { PAINT_PLAIN, PAINT_GOOD, PAINT_BAD, PAINT_WARN, PAINT_DIM, PAINT_HEAD };

/* The sequence that begins a colour, "" where `out` shows none. */
const char *output_paint(FILE *out, enum paint paint);

bool output_is_terminal(FILE *out);
/* Can its cursor be moved? A terminal, and no dumb one. */
bool output_moves(FILE *out);
/* Its columns; 0: it is no terminal, so no line is too long. */
size_t output_width(FILE *out);
/* Is UTF-8 understood there, by the locale's name? */
bool output_speaks_utf8(void);

/* A value as it is in a file or pipe: one line; indented on a terminal. Both with a line's end. */
void output_json(const json_t *value);

/* With --json: why there is no result, as a value on stdout. `error` is a name of the wire. */
void output_error(const char *error, const char *detail, bool retry, int64_t retry_after_ms);

/* Appends at most `columns` columns of `text` to `buf`, on one line: white space becomes one
 * blank, what would command a terminal becomes U+FFFD; "…" marks a cut. */
struct buf;
void output_clean(struct buf *buf, const char *text, size_t columns);
/* Columns that a clean text takes. */
size_t output_columns(const char *text);
/* A text as it is where no terminal is; there what would command it becomes U+FFFD, lines stay. */
void output_text(FILE *out, const char *text);
/* The same of a formatted text: for all that is said with a name or a text of others in it. */
__attribute__((format(printf, 2, 3))) void output_say(FILE *out, const char *format, ...);

/* Rows under a head, columns as wide as they need. Cells are copied, cleaned. `kinds` has a letter
 * for each column: 'k' kept whole, 'r' the same and to the right, 'c' cut where the terminal is too
 * narrow, 'd' left out there, the last first. */
struct table;
struct table *table_new(const char *const *heads, const char *kinds);
/* One cell, left to right; `paint` colours it. */
void table_add(struct table *table, enum paint paint, const char *text);
__attribute__((format(printf, 3, 4))) void table_addf(struct table *table, enum paint paint,
                                                      const char *format, ...);
void table_print(struct table **table_p); /* on stdout; frees it */

/* "12 s", "3 min", "2 h", "5 d" */
void output_duration(int64_t ms, char ret_text[16]);

#endif
