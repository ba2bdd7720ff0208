/* One line of progress on stderr that moves; nothing where that is no terminal, or a dumb one. The
 * cursor is hidden meanwhile, and back whenever the process stops or ends. One at a time. */
#ifndef MCPBUS_CLI_PROGRESS_H
#define MCPBUS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool on;
    int64_t began;
    size_t drawn; /* columns of the line that is shown; 0: none is */
};

void progress_begin(struct progress *progress);
/* Draws the line anew: a sign that moves, the time since the beginning, and `text`, cut to the
 * terminal's width as it is now. Called about ten times a second. */
void progress_show(struct progress *progress, const char *text);
/* Before other lines. */
void progress_clear(struct progress *progress);
void progress_end(struct progress *progress);

/* For whatever else is drawn again and again. */
void cursor_hide(void);
void cursor_show(void);

#endif
