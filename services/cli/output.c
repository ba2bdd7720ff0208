#include "services/cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { WIDTH_DEFAULT = 80, WIDTH_MAX = 1000 };

#define REPLACEMENT "\xef\xbf\xbd"

bool output_is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

static bool is_dumb(void)
{
    const char *term = getenv("TERM");
    return term && !strcmp(term, "dumb");
}

bool output_moves(FILE *out)
{
    return output_is_terminal(out) && !is_dumb();
}

size_t output_width(FILE *out)
{
    struct winsize size = {0};
    if (!output_is_terminal(out))
        return 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || !size.ws_col)
        return WIDTH_DEFAULT;
    return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

bool output_speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

/* https://no-color.org, https://bixense.com/clicolors */
static bool is_forced(void)
{
    const char *force = getenv("CLICOLOR_FORCE");
    return force && *force && strcmp(force, "0") != 0;
}

static bool is_coloured(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    if (no_color && *no_color)
        return false;
    return is_forced() || output_moves(out);
}

const char *output_paint(FILE *out, enum paint paint)
{
    static const char *const codes[] = {"\033[0m",  "\033[32m", "\033[31m",
                                        "\033[33m", "\033[2m",  "\033[1m"};
    return is_coloured(out) ? codes[paint] : "";
}

void output_json(const json_t *value)
{
    size_t flags = JSON_ENCODE_ANY | (output_is_terminal(stdout) ? JSON_INDENT(2) : JSON_COMPACT);
    AUTOFREE char *text = json_dumps(value, flags);
    output_text(stdout, text ? text : "null");
    putchar('\n');
}

void output_error(const char *error, const char *detail, bool retry, int64_t retry_after_ms)
{
    AUTOJSON json_t *json = json_pack("{s:s, s:s, s:b, s:I}", "error", error, "detail", detail,
                                      "retry", retry, "retry_after_ms", (json_int_t)retry_after_ms);
    output_json(json);
}

/* Length of the UTF-8 character at `text`; 0: it is none (overlong forms and surrogates aren't). */
static size_t character(const char *text, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    size_t len = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
    uint32_t code = len == 1 ? *at : len ? *at & (0xffu >> (len + 1)) : 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    if (code < least[len] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        return 0;
    *ret_code = code;
    return len;
}

struct range {
    uint32_t first, last;
};

static bool is_in(const struct range *ranges, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* Control characters, and those that turn the order of what follows, end its line, or are a text
 * that nobody sees. */
static bool commands(uint32_t code)
{
    static const struct range ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},
                                          {0x61c, 0x61c},   {0x180e, 0x180e}, {0x200b, 0x200b},
                                          {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
                                          {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    return is_in(ranges, sizeof ranges / sizeof *ranges, code);
}

/* Unicode's East Asian Width W and F, and what stands on the character before it (UAX 11). */
static size_t columns_of(uint32_t code)
{
    static const struct range wide[] = {{0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},
                                        {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
                                        {0xa000, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                                        {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
                                        {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};
    static const struct range none[] = {{0x300, 0x36f},   {0x200c, 0x200d},  {0x1ab0, 0x1aff},
                                        {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},  {0xfe00, 0xfe0f},
                                        {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
    if (code < 0x300)
        return 1;
    if (is_in(none, sizeof none / sizeof *none, code))
        return 0;
    return is_in(wide, sizeof wide / sizeof *wide, code) ? 2 : 1;
}

size_t output_columns(const char *text)
{
    size_t columns = 0;
    while (*text) {
        uint32_t code = 0;
        size_t len = character(text, &code);
        columns += len ? columns_of(code) : 1;
        text += len ? len : 1;
    }
    return columns;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* Does anything follow that takes a column? */
static bool goes_on(const char *text)
{
    uint32_t code = 0;
    for (;;) {
        text = skip_blanks(text);
        size_t len = *text ? character(text, &code) : 0;
        if (!len || commands(code) || columns_of(code))
            return *text;
        text += len;
    }
}

void output_clean(struct buf *buf, const char *text, size_t columns)
{
    size_t used = 0;
    text = skip_blanks(text);
    while (*text) {
        uint32_t code = 0xfffd;
        size_t len = character(text, &code), blank = 0;
        if (len == 1 && strchr(" \t\r\n", *text)) {
            text = skip_blanks(text);
            if (!*text)
                return;
            code = 0xfffd;
            len = character(text, &code);
            blank = 1;
        }
        const char *next = text + (len ? len : 1);
        bool good = len && !commands(code);
        size_t wide = good ? columns_of(code) : 1;
        bool more = goes_on(next);
        if (used + blank + wide + more > columns) {
            buf_add_str(buf, "…");
            return;
        }
        if (blank)
            buf_add_char(buf, ' ');
        used += blank + wide;
        if (good)
            buf_add(buf, text, len);
        else
            buf_add_str(buf, REPLACEMENT);
        text = next;
    }
}

/* What is coloured goes to a terminal in the end. */
void output_text(FILE *out, const char *text)
{
    if (!output_is_terminal(out) && !is_coloured(out)) {
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
            fputs(REPLACEMENT, out);
        text += len ? len : 1;
    }
}

void output_say(FILE *out, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len >= 0)
        output_text(out, text);
    free(text);
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
