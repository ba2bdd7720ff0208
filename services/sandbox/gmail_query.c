#include "services/sandbox/gmail_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "services/sandbox/data.h"

enum { DEPTH_MAX = 32, WORD_MAX = 512 };

struct parser {
    const char *at;
    const json_t *mail;
    int64_t now_ms;
    int depth;
};

static bool has(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

static bool any_attachment(const json_t *mail, const char *filename)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(mail, "_attachments"), i,
                       one) if (!filename ||
                                has(js_str(one, "filename", ""), filename)) return true;
    return false;
}

/* 2026/11/26, 2026-11-26, or seconds since 1970. */
static bool parse_day(const char *text, int64_t *ret_ms)
{
    char day[16];
    if (strlen(text) == 10 && strpbrk(text, "/-")) {
        memcpy(day, text, 11);
        day[4] = day[7] = '-';
        return time_parse(day, ret_ms) == ERR_OK;
    }
    char *end;
    long long seconds = strtoll(text, &end, 10);
    *ret_ms = seconds * 1000;
    return end != text && !*end && seconds >= 0 && seconds < 100000000000;
}

/* "3d", "2w", "1m", "1y" as milliseconds. */
static bool parse_span(const char *text, int64_t *ret_ms)
{
    char *unit;
    long count = strtol(text, &unit, 10);
    int days = *unit == 'd' ? 1 : *unit == 'w' ? 7 : *unit == 'm' ? 30 : *unit == 'y' ? 365 : 0;
    *ret_ms = (int64_t)count * days * 86400000;
    return days && !unit[1] && count > 0 && count < 100000;
}

static bool date_fits(const struct parser *parser, const char *field, const char *value)
{
    int64_t date = js_int(parser->mail, "internalDate", 0), ms;
    if (strcmp(field, "after") == 0 || strcmp(field, "newer") == 0)
        return parse_day(value, &ms) && date >= ms;
    if (strcmp(field, "before") == 0 || strcmp(field, "older") == 0)
        return parse_day(value, &ms) && date < ms;
    if (strcmp(field, "newer_than") == 0)
        return parse_span(value, &ms) && date >= parser->now_ms - ms;
    return parse_span(value, &ms) && date < parser->now_ms - ms;
}

static bool is_fits(const json_t *mail, const char *value)
{
    if (strcasecmp(value, "read") == 0)
        return !mail_has_label(mail, "UNREAD");
    return mail_has_label(mail, value);
}

static bool in_fits(const json_t *mail, const char *value)
{
    if (strcasecmp(value, "anywhere") == 0)
        return true;
    return mail_has_label(mail, value);
}

static bool is_one_of(const char *field, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(field, *names) == 0)
            return true;
    return false;
}

static bool field_fits(const struct parser *parser, const char *field, const char *value)
{
    static const char *const HEADERS[] = {"from", "to", "cc", "bcc", "subject", NULL};
    static const char *const DATES[] = {"after",      "before",     "newer", "older",
                                        "newer_than", "older_than", NULL};
    const json_t *mail = parser->mail;
    if (is_one_of(field, HEADERS))
        return has(mail_header(mail, field), value);
    if (is_one_of(field, DATES))
        return date_fits(parser, field, value);
    if (strcmp(field, "is") == 0)
        return is_fits(mail, value);
    if (strcmp(field, "in") == 0)
        return in_fits(mail, value);
    if (strcmp(field, "label") == 0)
        return mail_has_label(mail, value);
    if (strcmp(field, "has") == 0)
        return strcasecmp(value, "attachment") == 0 && any_attachment(mail, NULL);
    if (strcmp(field, "filename") == 0)
        return any_attachment(mail, value);
    if (strcmp(field, "rfc822msgid") == 0)
        return has(mail_header(mail, "Message-ID"), value);
    return false;
}

static bool word_fits(const json_t *mail, const char *word)
{
    return has(mail_header(mail, "Subject"), word) || has(mail_header(mail, "From"), word) ||
           has(mail_header(mail, "To"), word) || has(js_str(mail, "_text", ""), word) ||
           any_attachment(mail, word);
}

/* A word or a "phrase"; too long ones are cut. */
static void take_text(struct parser *parser, const char *stops, char word[WORD_MAX])
{
    size_t n = 0;
    if (*parser->at == '"') {
        for (parser->at++; *parser->at && *parser->at != '"'; parser->at++)
            if (n < WORD_MAX - 1)
                word[n++] = *parser->at;
        parser->at += *parser->at == '"';
    } else {
        for (; *parser->at && !strchr(stops, *parser->at); parser->at++)
            if (n < WORD_MAX - 1)
                word[n++] = *parser->at;
    }
    word[n] = 0;
}

static bool parse_all(struct parser *parser, char close);
static bool parse_any(struct parser *parser);

static void skip_spaces(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t\r\n");
}

static bool parse_group(struct parser *parser, char close)
{
    bool fits = false;
    parser->at++;
    if (++parser->depth > DEPTH_MAX) {
        parser->at += strlen(parser->at);
    } else if (close == ')') {
        fits = parse_all(parser, close);
    } else {
        for (skip_spaces(parser); *parser->at && *parser->at != close; skip_spaces(parser))
            fits = parse_any(parser) || fits;
    }
    parser->at += *parser->at == close;
    parser->depth--;
    return fits;
}

static bool parse_field(struct parser *parser, const char *field)
{
    char value[WORD_MAX];
    parser->at++;
    if (*parser->at == '(') { /* subject:(a b): each word */
        bool fits = true;
        for (parser->at++; *parser->at && *parser->at != ')'; skip_spaces(parser)) {
            take_text(parser, " )", value);
            fits = field_fits(parser, field, value) && fits;
        }
        parser->at += *parser->at == ')';
        return fits;
    }
    take_text(parser, " \t\r\n(){}", value);
    return field_fits(parser, field, value);
}

static bool parse_term(struct parser *parser)
{
    char word[WORD_MAX];
    if (*parser->at == '-') {
        parser->at++;
        if (++parser->depth > DEPTH_MAX) {
            parser->at += strlen(parser->at);
            return false;
        }
        bool fits = parse_term(parser);
        parser->depth--;
        return !fits;
    }
    if (*parser->at == '(')
        return parse_group(parser, ')');
    if (*parser->at == '{')
        return parse_group(parser, '}');
    bool quoted = *parser->at == '"';
    const char *start = parser->at;
    take_text(parser, " \t\r\n(){}:", word);
    if (!quoted && *parser->at == ':' && word[0]) {
        for (char *c = word; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        return parse_field(parser, word);
    }
    if (parser->at == start && *start) /* a stray closing bracket or colon */
        parser->at++;
    return word_fits(parser->mail, word);
}

/* Terms joined by OR. */
static bool parse_any(struct parser *parser)
{
    bool fits = parse_term(parser);
    for (;;) {
        skip_spaces(parser);
        if (strncmp(parser->at, "OR", 2) != 0 || !isspace((unsigned char)parser->at[2]))
            return fits;
        parser->at += 2;
        skip_spaces(parser);
        if (!*parser->at)
            return fits;
        fits = parse_term(parser) || fits;
    }
}

static bool parse_all(struct parser *parser, char close)
{
    bool fits = true;
    for (skip_spaces(parser); *parser->at && *parser->at != close; skip_spaces(parser)) {
        if (strncmp(parser->at, "AND ", 4) == 0)
            parser->at += 4;
        else
            fits = parse_any(parser) && fits;
    }
    return fits;
}

bool gmail_query_matches(const char *query, const json_t *mail, int64_t now_ms)
{
    struct parser parser = {.at = query, .mail = mail, .now_ms = now_ms};
    return parse_all(&parser, 0);
}

bool gmail_query_wants_trash(const char *query)
{
    return has(query, "in:trash") || has(query, "in:anywhere") || has(query, "label:trash") ||
           has(query, "is:trash");
}
