#include "services/cli/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "services/cli/output.h"

enum { LINE_BYTES = 8192, FRAME_MS = 100, FRAMES = 8, WIDTH_MIN = 10 };

#define SHOW "\033[?25h"
#define HIDE "\033[?25l"

static volatile sig_atomic_t is_hidden;

/* The whole at once, so that no half-drawn line is seen. Nothing helps when it fails. */
static void put(const char *text, size_t len)
{
    ssize_t done = write(STDERR_FILENO, text, len);
    (void)done;
}

static void on_leave(int signo)
{
    int error = errno;
    if (is_hidden)
        put("\r\033[J" SHOW, strlen("\r\033[J" SHOW));
    is_hidden = 0;
    if (signo == SIGTSTP)
        kill(getpid(), SIGSTOP);
    else
        raise(signo); /* its action is the default again */
    errno = error;
}

static void watch_signals(void)
{
    static const int signals[] = {SIGTSTP, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action = {.sa_handler = on_leave}, old;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART | (signals[i] == SIGTSTP ? 0 : (int)SA_RESETHAND);
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    }
}

void cursor_show(void)
{
    if (is_hidden)
        put(SHOW, strlen(SHOW));
    is_hidden = 0;
}

void cursor_hide(void)
{
    static bool watched;
    if (!watched) {
        watch_signals();
        atexit(cursor_show);
        watched = true;
    }
    if (!is_hidden)
        put(HIDE, strlen(HIDE));
    is_hidden = 1;
}

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.on = output_moves(stderr), .began = clock_ms()};
}

static const char *sign(int64_t elapsed)
{
    static const char *const dots[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"};
    static const char *const bars[] = {"|", "/", "-", "\\", "|", "/", "-", "\\"};
    size_t frame = (size_t)(elapsed / FRAME_MS) % FRAMES;
    return (output_speaks_utf8() ? dots : bars)[frame];
}

static void add_time(struct buf *line, int64_t elapsed)
{
    char text[16];
    if (elapsed >= 60000) {
        output_duration(elapsed, text);
        buf_add_str(line, text);
    } else {
        buf_printf(line, "%lld.%lld s", (long long)(elapsed / 1000),
                   (long long)(elapsed / 100 % 10));
    }
}

/* A line that a narrower terminal has wrapped is more than one. */
static void go_back(struct buf *line, size_t drawn, size_t width)
{
    size_t above = drawn > width ? (drawn - 1) / width : 0;
    buf_add_str(line, "\r");
    if (above)
        buf_printf(line, "\033[%zuA", above);
}

void progress_show(struct progress *progress, const char *text)
{
    struct buf frame, line;
    if (!progress->on)
        return;
    size_t width = output_width(stderr), room = width > WIDTH_MIN ? width - 1 : WIDTH_MIN;
    int64_t elapsed = clock_ms() - progress->began;
    buf_init(&line, LINE_BYTES);
    buf_init(&frame, (size_t)2 * LINE_BYTES);
    buf_printf(&line, "%s ", sign(elapsed));
    add_time(&line, elapsed);
    buf_printf(&line, "  %.4000s", text);
    go_back(&frame, progress->drawn, width);
    size_t before = frame.len;
    output_clean(&frame, buf_text(&line), room);
    progress->drawn = output_columns(buf_text(&frame) + before);
    buf_add_str(&frame, "\033[J");
    cursor_hide();
    put(buf_text(&frame), frame.len);
    buf_fini(&line);
    buf_fini(&frame);
}

void progress_clear(struct progress *progress)
{
    struct buf frame;
    if (!progress->drawn)
        return;
    buf_init(&frame, LINE_BYTES);
    go_back(&frame, progress->drawn, output_width(stderr));
    buf_add_str(&frame, "\033[J");
    put(buf_text(&frame), frame.len);
    buf_fini(&frame);
    progress->drawn = 0;
}

void progress_end(struct progress *progress)
{
    progress_clear(progress);
    cursor_show();
}
