#include "services/cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { CELL_MAX = 400, LINE_MAX_BYTES = 4096, ROWS_MAX = 4096, COLUMNS_MAX = 12 };

static bool is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

const char *output_paint(FILE *out, enum paint paint)
{
    static const char *const codes[] = {"\033[0m",  "\033[32m", "\033[31m",
                                        "\033[33m", "\033[2m",  "\033[1m"};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!is_terminal(out) || (no_color && *no_color) || (term && !strcmp(term, "dumb")))
        return "";
    return codes[paint];
}

void output_json(const json_t *value)
{
    size_t flags = JSON_ENCODE_ANY | (is_terminal(stdout) ? JSON_INDENT(2) : JSON_COMPACT);
    AUTOFREE char *text = json_dumps(value, flags);
    output_text(stdout, text ? text : "null");
    putchar('\n');
}

/* Length of the UTF-8 character at `text`; 0 bytes of it are no character. */
static size_t character(const char *text, uint32_t *ret_code)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t len = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
    uint32_t code = len == 1 ? *at : len ? *at & (0xffu >> (len + 1)) : 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    *ret_code = code;
    return len;
}

/* Control characters, and those that turn the order of what follows. */
static bool commands(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x2028 || code == 0x2029;
}

void output_clean(struct buf *buf, const char *text, size_t columns)
{
    bool blank = false;
    size_t used = 0;
    while (*text) {
        uint32_t code = 0;
        size_t len = character(text, &code);
        if (len == 1 && strchr(" \t\r\n", *text)) {
            blank = used > 0;
            text++;
            continue;
        }
        if (used + blank + 1 > columns || (used + blank + 1 == columns && text[len ? len : 1])) {
            buf_add_str(buf, "…");
            return;
        }
        if (blank)
            buf_add_char(buf, ' ');
        used += blank + 1u;
        blank = false;
        if (len && !commands(code))
            buf_add(buf, text, len);
        else
            buf_add_str(buf, "\xef\xbf\xbd");
        text += len ? len : 1;
    }
}

void output_text(FILE *out, const char *text)
{
    if (!is_terminal(out)) {
        fputs(text, out);
        return;
    }
    while (*text) {
        uint32_t code = 0;
        size_t len = character(text, &code);
        if (len == 1 && (*text == '\n' || *text == '\t'))
            fputc(*text, out);
        else if (len && !commands(code))
            fwrite(text, 1, len, out);
        else
            fputs("\xef\xbf\xbd", out);
        text += len ? len : 1;
    }
}

struct cell {
    char *text;
    enum paint paint;
};

struct table {
    const char *const *heads;
    int columns;
    struct cell *cells;
    size_t count, room;
};

struct table *table_new(const char *const *heads, int columns)
{
    struct table *table = mem_alloc(sizeof *table);
    table->heads = heads;
    table->columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
    return table;
}

void table_add(struct table *table, enum paint paint, const char *text)
{
    struct buf buf;
    if (table->count == (size_t)ROWS_MAX * COLUMNS_MAX)
        return;
    if (table->count == table->room) {
        table->room = table->room ? 2 * table->room : 64;
        table->cells = mem_resize(table->cells, table->room * sizeof *table->cells);
    }
    buf_init(&buf, LINE_MAX_BYTES);
    output_clean(&buf, text, CELL_MAX);
    table->cells[table->count++] = (struct cell){buf_steal(&buf), paint};
}

void table_addf(struct table *table, enum paint paint, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    table_add(table, paint, text);
}

static int width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *text, enum paint paint, int pad)
{
    const char *begin = paint ? output_paint(stdout, paint) : "";
    printf("%s%s%s%*s", begin, text, *begin ? output_paint(stdout, PAINT_PLAIN) : "",
           pad ? pad - width(text) + 2 : 0, "");
}

void table_print(struct table **table_p)
{
    struct table *table = *table_p;
    int widths[COLUMNS_MAX] = {0};
    *table_p = NULL;
    for (int i = 0; i < table->columns; i++)
        widths[i] = width(table->heads[i]);
    for (size_t i = 0; i < table->count; i++) {
        int column = (int)(i % (size_t)table->columns), wide = width(table->cells[i].text);
        widths[column] = wide > widths[column] ? wide : widths[column];
    }
    for (int i = 0; i < table->columns; i++)
        print_cell(table->heads[i], PAINT_HEAD, i + 1 < table->columns ? widths[i] : 0);
    putchar('\n');
    for (size_t i = 0; i < table->count; i++) {
        int column = (int)(i % (size_t)table->columns);
        bool last = column + 1 == table->columns;
        print_cell(table->cells[i].text, table->cells[i].paint, last ? 0 : widths[column]);
        if (last)
            putchar('\n');
        free(table->cells[i].text);
    }
    free(table->cells);
    free(table);
}

void progress_begin(struct progress *progress)
{
    const char *term = getenv("TERM");
    *progress = (struct progress){.on = is_terminal(stderr) && !(term && !strcmp(term, "dumb")),
                                  .began = clock_ms()};
}

static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

void progress_show(struct progress *progress, const char *text)
{
    static const char *const dots[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"}, *const lines[] = {
                                                                                    "|",  "/", "-",
                                                                                    "\\", "|", "/",
                                                                                    "-",  "\\"};
    struct winsize size = {.ws_col = 80};
    char duration[16];
    struct buf line;
    if (!progress->on)
        return;
    ioctl(fileno(stderr), TIOCGWINSZ, &size);
    output_duration(clock_ms() - progress->began, duration);
    buf_init(&line, LINE_MAX_BYTES);
    output_clean(&line, text, size.ws_col > 30 ? size.ws_col - 20u : 10);
    fprintf(stderr, "\r\033[K%s %s  %s", (speaks_utf8() ? dots : lines)[progress->tick++ % 8],
            duration, buf_text(&line));
    fflush(stderr);
    buf_fini(&line);
    progress->shown = true;
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

void output_duration(int64_t ms, char ret_text[16])
{
    long long s = ms < 0 ? 0 : (long long)(ms / 1000);
    if (s < 120)
        snprintf(ret_text, 16, "%lld s", s);
    else if (s < 7200)
        snprintf(ret_text, 16, "%lld min", s / 60);
    else if (s < 172800)
        snprintf(ret_text, 16, "%lld h", s / 3600);
    else
        snprintf(ret_text, 16, "%lld d", s / 86400 % 1000000);
}
