#include "services/google/html.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REFERENCE_MAX = 10, TAG_NAME_MAX = 16 };

/* Character references */

static void add_code_point(struct buf *out, uint32_t c)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        buf_add_char(out, (char)c);
        return;
    }
    char bytes[4];
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(lead[len] | c);
    buf_add(out, bytes, len);
}

static bool add_named(struct buf *out, const char *name, size_t len)
{
    static const struct {
        const char *name, *text;
    } known[] = {
        {"amp", "&"},    {"lt", "<"},     {"gt", ">"},     {"quot", "\""},  {"apos", "'"},
        {"nbsp", " "},   {"copy", "©"},   {"reg", "®"},    {"trade", "™"},  {"hellip", "…"},
        {"mdash", "—"},  {"ndash", "–"},  {"lsquo", "‘"},  {"rsquo", "’"},  {"ldquo", "“"},
        {"rdquo", "”"},  {"bull", "•"},   {"middot", "·"}, {"euro", "€"},   {"pound", "£"},
        {"laquo", "«"},  {"raquo", "»"},  {"times", "×"},  {"deg", "°"},    {"auml", "ä"},
        {"ouml", "ö"},   {"uuml", "ü"},   {"Auml", "Ä"},   {"Ouml", "Ö"},   {"Uuml", "Ü"},
        {"szlig", "ß"},  {"eacute", "é"}, {"egrave", "è"}, {"agrave", "à"}, {"ccedil", "ç"},
        {"ntilde", "ñ"}, {"zwnj", ""},    {"zwj", ""},     {"shy", ""},     {"rarr", "→"},
        {"larr", "←"},   {"ensp", " "},   {"emsp", " "},   {"thinsp", " "},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0) {
            buf_add_str(out, known[i].text);
            return true;
        }
    return false;
}

static bool add_numbered(struct buf *out, const char *digits, size_t len)
{
    char text[REFERENCE_MAX + 1] = "";
    char *end;
    bool hex = len && (digits[0] == 'x' || digits[0] == 'X');
    memcpy(text, digits, len);
    unsigned long c = strtoul(text + hex, &end, hex ? 16 : 10);
    if (*end || end == text + hex || strchr("+- \t\n", text[hex]))
        return false;
    add_code_point(out, c > 0x10ffff ? 0xfffd : (uint32_t)c);
    return true;
}

/* Adds the reference at `text` ("&…;") and returns its length; 0 when there is none. */
static size_t add_reference(struct buf *out, const char *text, size_t left)
{
    size_t span = left < REFERENCE_MAX + 2 ? left : REFERENCE_MAX + 2;
    const char *end = memchr(text, ';', span);
    if (!end || end - text < 2)
        return 0;
    size_t len = (size_t)(end - text - 1);
    bool added =
        text[1] == '#' ? add_numbered(out, text + 2, len - 1) : add_named(out, text + 1, len);
    return added ? len + 2 : 0;
}

void html_decode_references(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len;) {
        size_t used = text[i] == '&' ? add_reference(out, text + i, len - i) : 0;
        if (!used)
            buf_add_char(out, text[i]);
        i += used ? used : 1;
    }
}

/* Tags */

struct stripper {
    struct buf *out;
    size_t start; /* of our text in `out` */
    bool space;   /* white space is due before the next word */
    int lines;    /* and so many line ends */
};

static void add_gap(struct stripper *s)
{
    if (s->out->len > s->start) {
        for (int i = 0; i < s->lines; i++)
            buf_add_char(s->out, '\n');
        if (!s->lines && s->space)
            buf_add_char(s->out, ' ');
    }
    s->lines = 0;
    s->space = false;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

static void end_lines(struct stripper *s, int count)
{
    if (s->lines < count)
        s->lines = count;
}

static void on_tag(struct stripper *s, const char *name, bool closing)
{
    static const char *const blocks[] = {"p",  "h1", "h2",    "h3",         "h4",  "h5", "h6",
                                         "ul", "ol", "table", "blockquote", "pre", "hr", NULL};
    static const char *const rows[] = {"div",    "tr", "section", "article", "header",
                                       "footer", "dt", "dd",      "li",      NULL};
    static const char *const cells[] = {"td", "th", NULL};
    if (strcasecmp(name, "br") == 0)
        s->lines = s->lines < 2 ? s->lines + 1 : 2;
    else if (is_one_of(name, blocks))
        end_lines(s, 2);
    else if (is_one_of(name, rows))
        end_lines(s, 1);
    else if (is_one_of(name, cells))
        s->space = true;
    if (strcasecmp(name, "li") == 0 && !closing) {
        add_gap(s);
        buf_add_str(s->out, "- ");
    }
}

/* Where the tag that begins at `i` ends: behind its '>', quotes respected. */
static size_t tag_end(const char *html, size_t len, size_t i)
{
    char quote = 0;
    for (i++; i < len; i++) {
        if (quote) {
            if (html[i] == quote)
                quote = 0;
        } else if ((html[i] == '"' || html[i] == '\'') && html[i - 1] == '=') {
            quote = html[i];
        } else if (html[i] == '>') {
            return i + 1;
        }
    }
    return len;
}

/* Where the content of an element that holds no text ends: at its closing tag. */
static size_t skip_content(const char *html, size_t len, size_t i, const char *name)
{
    size_t name_len = strlen(name);
    for (; i + name_len + 2 <= len; i++)
        if (html[i] == '<' && html[i + 1] == '/' && strncasecmp(html + i + 2, name, name_len) == 0)
            return i;
    return len;
}

static size_t skip_comment(const char *html, size_t len, size_t i)
{
    const char *end = memmem(html + i + 4, len - i - 4, "-->", 3);
    return end ? (size_t)(end - html) + 3 : len;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t read_tag(struct stripper *s, const char *html, size_t len, size_t i)
{
    static const char *const hidden[] = {"script", "style", "title", "template", "noscript", NULL};
    char name[TAG_NAME_MAX + 1] = "";
    if (len - i >= 4 && memcmp(html + i, "<!--", 4) == 0)
        return skip_comment(html, len, i);
    bool closing = i + 1 < len && html[i + 1] == '/';
    size_t from = i + 1 + closing, n = 0;
    while (from + n < len && n < TAG_NAME_MAX &&
           (is_letter(html[from + n]) || (n && html[from + n] >= '0' && html[from + n] <= '9')))
        n++;
    memcpy(name, html + from, n);
    size_t end = tag_end(html, len, i);
    if (!closing && is_one_of(name, hidden))
        return skip_content(html, len, end, name);
    on_tag(s, name, closing);
    return end;
}

static bool begins_tag(const char *html, size_t len, size_t i)
{
    return html[i] == '<' && i + 1 < len &&
           (is_letter(html[i + 1]) || html[i + 1] == '/' || html[i + 1] == '!' ||
            html[i + 1] == '?');
}

static size_t read_text(struct stripper *s, const char *html, size_t len, size_t i)
{
    if (strchr(" \t\r\n\f", html[i])) {
        s->space = true;
        return i + 1;
    }
    struct buf decoded;
    buf_init(&decoded, 16);
    size_t used = html[i] == '&' ? add_reference(&decoded, html + i, len - i) : 0;
    if (used && strcmp(buf_text(&decoded), " ") == 0) {
        s->space = true;
    } else if (!used || decoded.len) {
        add_gap(s);
        buf_add(s->out, used ? decoded.data : html + i, used ? decoded.len : 1);
    }
    buf_fini(&decoded);
    return i + (used ? used : 1);
}

void html_to_text(const char *html, size_t len, struct buf *out)
{
    struct stripper s = {.out = out, .start = out->len};
    for (size_t i = 0; i < len && !out->full;)
        i = begins_tag(html, len, i) ? read_tag(&s, html, len, i) : read_text(&s, html, len, i);
}
