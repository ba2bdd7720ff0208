#include "services/sandbox/drive_query.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "services/sandbox/data.h"

enum { DEPTH_MAX = 32, WORD_MAX = 64, VALUE_MAX = 1024 };

struct parser {
    const char *at;
    const json_t *file;
    const char *root, *email;
    int depth;
    bool bad; /* malformed: nothing counts any more */
};

static bool fail(struct parser *parser)
{
    parser->bad = true;
    return false;
}

static void skip_spaces(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t\r\n");
}

/* 'text' with \' and \\ inside. */
static bool take_string(struct parser *parser, char value[VALUE_MAX])
{
    size_t n = 0;
    skip_spaces(parser);
    char quote = *parser->at;
    if (quote != '\'' && quote != '"')
        return fail(parser);
    for (parser->at++; *parser->at != quote; parser->at++) {
        if (*parser->at == '\\' && parser->at[1])
            parser->at++;
        if (!*parser->at || n == VALUE_MAX - 1)
            return fail(parser);
        value[n++] = *parser->at;
    }
    value[n] = 0;
    parser->at++;
    return true;
}

/* A name, or an operator made of <>!=. */
static bool take_word(struct parser *parser, char word[WORD_MAX])
{
    size_t n = 0;
    skip_spaces(parser);
    bool symbol = *parser->at && strchr("<>!=", *parser->at);
    while (*parser->at && n < WORD_MAX - 1 &&
           (symbol ? strchr("<>!=", *parser->at) != NULL : isalpha((unsigned char)*parser->at)))
        word[n++] = *parser->at++;
    word[n] = 0;
    return n > 0 || fail(parser);
}

static bool accept(struct parser *parser, const char *keyword)
{
    size_t len = strlen(keyword);
    skip_spaces(parser);
    if (strncasecmp(parser->at, keyword, len) != 0 || isalnum((unsigned char)parser->at[len]))
        return false;
    parser->at += len;
    return true;
}

static bool list_has(const json_t *list, const char *key, const char *value)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = key ? js_str(one, key, "") : json_string_value(one);
        if (text && strcasecmp(text, value) == 0)
            return true;
    }
    return false;
}

static bool role_fits(const json_t *file, const char *email, bool writers)
{
    size_t i;
    const json_t *one;
    json_array_foreach(
        json_object_get(file, "permissions"), i,
        one) if (strcasecmp(js_str(one, "emailAddress", ""), email) == 0 &&
                 (!writers || strcmp(js_str(one, "role", ""), "reader") != 0)) return true;
    return false;
}

static bool in_fits(struct parser *parser, const char *value)
{
    char collection[WORD_MAX];
    if (!accept(parser, "in") || !take_word(parser, collection))
        return fail(parser);
    const char *who = strcmp(value, "me") == 0 ? parser->email : value;
    if (strcmp(collection, "parents") == 0)
        return list_has(json_object_get(parser->file, "parents"), NULL,
                        strcmp(value, "root") == 0 ? parser->root : value);
    if (strcmp(collection, "owners") == 0)
        return list_has(json_object_get(parser->file, "owners"), "emailAddress", who);
    if (strcmp(collection, "writers") == 0 || strcmp(collection, "readers") == 0)
        return role_fits(parser->file, who, collection[0] == 'w');
    return fail(parser);
}

/* Drive's "contains" on names fits the beginnings of words; on the text, words. */
static bool name_contains(const char *name, const char *prefix)
{
    for (const char *at = name; (at = strcasestr(at, prefix)); at++)
        if (at == name || !isalnum((unsigned char)at[-1]))
            return true;
    return !*prefix;
}

static bool text_contains(const json_t *file, const char *words)
{
    char word[VALUE_MAX];
    const char *text = js_str(file, "_text", ""), *name = js_str(file, "name", "");
    for (const char *at = words; *at;) {
        at += strspn(at, " \"");
        size_t len = strcspn(at, *words == '"' ? "\"" : " \"");
        memcpy(word, at, len);
        word[len] = 0;
        if (!strcasestr(text, word) && !strcasestr(name, word))
            return false;
        at += len;
    }
    return true;
}

static bool text_fits(struct parser *parser, const char *field, const char *op, const char *value)
{
    const char *actual = js_str(parser->file, field, "");
    if (strcmp(op, "=") == 0)
        return strcasecmp(actual, value) == 0;
    if (strcmp(op, "!=") == 0)
        return strcasecmp(actual, value) != 0;
    if (strcmp(op, "contains") != 0)
        return fail(parser);
    return strcmp(field, "name") == 0 ? name_contains(actual, value)
                                      : strncasecmp(actual, value, strlen(value)) == 0;
}

static bool time_fits(struct parser *parser, const char *field, const char *op, const char *value)
{
    int64_t wanted, actual;
    char text[TIME_TEXT_SIZE];
    /* Without an offset it is UTC. */
    if (strlen(value) == 19) {
        memcpy(text, value, 19);
        memcpy(text + 19, "Z", 2);
        value = text;
    }
    if (time_parse(value, &wanted))
        return fail(parser);
    if (time_parse(js_str(parser->file, field, ""), &actual))
        return false;
    if (strcmp(op, "<") == 0)
        return actual < wanted;
    if (strcmp(op, "<=") == 0)
        return actual <= wanted;
    if (strcmp(op, ">") == 0)
        return actual > wanted;
    if (strcmp(op, ">=") == 0)
        return actual >= wanted;
    if (strcmp(op, "=") == 0)
        return actual == wanted;
    return strcmp(op, "!=") == 0 ? actual != wanted : fail(parser);
}

static bool flag_fits(struct parser *parser, const char *field, const char *op)
{
    bool actual = js_bool(parser->file, field, false), wanted = accept(parser, "true");
    if (!wanted && !accept(parser, "false"))
        return fail(parser);
    if (strcmp(op, "=") == 0)
        return actual == wanted;
    return strcmp(op, "!=") == 0 ? actual != wanted : fail(parser);
}

static bool field_fits(struct parser *parser)
{
    char field[WORD_MAX], op[WORD_MAX], value[VALUE_MAX];
    if (!take_word(parser, field))
        return false;
    if (strcmp(field, "sharedWithMe") == 0) {
        skip_spaces(parser);
        if (*parser->at != '=' && *parser->at != '!')
            return !js_bool(parser->file, "ownedByMe", true);
    }
    if (!take_word(parser, op))
        return false;
    if (strcmp(field, "trashed") == 0 || strcmp(field, "starred") == 0 ||
        strcmp(field, "sharedWithMe") == 0)
        return flag_fits(parser, field, op);
    if (!take_string(parser, value))
        return false;
    if (strcmp(field, "name") == 0 || strcmp(field, "mimeType") == 0)
        return text_fits(parser, field, op, value);
    if (strcmp(field, "fullText") == 0 && strcmp(op, "contains") == 0)
        return text_contains(parser->file, value);
    if (strcmp(field, "modifiedTime") == 0 || strcmp(field, "createdTime") == 0)
        return time_fits(parser, field, op, value);
    return fail(parser);
}

static bool parse_or(struct parser *parser);

static bool parse_term(struct parser *parser)
{
    char value[VALUE_MAX];
    bool fits;
    if (parser->bad || ++parser->depth > DEPTH_MAX)
        return fail(parser);
    skip_spaces(parser);
    if (accept(parser, "not")) {
        fits = !parse_term(parser);
    } else if (*parser->at == '(') {
        parser->at++;
        fits = parse_or(parser);
        skip_spaces(parser);
        if (*parser->at != ')')
            return fail(parser);
        parser->at++;
    } else if (*parser->at == '\'' || *parser->at == '"') {
        fits = take_string(parser, value) && in_fits(parser, value);
    } else {
        fits = field_fits(parser);
    }
    parser->depth--;
    return fits;
}

static bool parse_and(struct parser *parser)
{
    bool fits = parse_term(parser);
    while (!parser->bad && accept(parser, "and"))
        fits = parse_term(parser) && fits;
    return fits;
}

static bool parse_or(struct parser *parser)
{
    bool fits = parse_and(parser);
    while (!parser->bad && accept(parser, "or"))
        fits = parse_and(parser) || fits;
    return fits;
}

enum err drive_query_matches(const char *query, const json_t *file, const char *root,
                             const char *email, bool *ret_matches)
{
    struct parser parser = {.at = query, .file = file, .root = root, .email = email};
    skip_spaces(&parser);
    bool fits = !*parser.at || parse_or(&parser);
    skip_spaces(&parser);
    if (parser.bad || *parser.at)
        return ERR_INVALID;
    *ret_matches = fits;
    return ERR_OK;
}
