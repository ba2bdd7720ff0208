/* What commands print. Colours and progress only on a terminal, and no colours under NO_COLOR;
 * texts of users and models can't command the terminal. */
#ifndef MCPBUS_CLI_OUTPUT_H
#define MCPBUS_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum paint { PAINT_PLAIN, PAINT_GOOD, PAINT_BAD, PAINT_WARN, PAINT_DIM, PAINT_HEAD };

/* The sequence that begins a colour, "" where `out` shows none. */
const char *output_paint(FILE *out, enum paint paint);

/* A value as it is in a file or pipe: one line; indented on a terminal. Both with a line's end. */
void output_json(const json_t *value);

/* Appends at most `columns` characters of `text` to `buf`, on one line: white space becomes one
 * blank, what would command a terminal becomes U+FFFD; "…" marks a cut. */
struct buf;
void output_clean(struct buf *buf, const char *text, size_t columns);
/* A text as it is where no terminal is; there what would command it becomes U+FFFD, lines stay. */
void output_text(FILE *out, const char *text);

/* Rows under a head, columns as wide as they need. Cells are copied, cleaned. */
struct table;
struct table *table_new(const char *const *heads, int columns);
/* One cell, left to right; `paint` colours it. */
void table_add(struct table *table, enum paint paint, const char *text);
__attribute__((format(printf, 3, 4))) void table_addf(struct table *table, enum paint paint,
                                                      const char *format, ...);
void table_print(struct table **table_p); /* on stdout; frees it */

/* One line of progress on stderr that is overwritten; nothing where that is no terminal. */
struct progress {
    bool shown, on;
    int64_t began;
    unsigned tick;
};
void progress_begin(struct progress *progress);
void progress_show(struct progress *progress, const char *text);
void progress_clear(struct progress *progress); /* before other lines */

/* "12 s", "3 min", "2 h", "5 d" */
void output_duration(int64_t ms, char ret_text[16]);

#endif
