#include "services/jobs/error_groups.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { ID_MIN = 6, QUOTED_MAX = 400, EXAMPLE_MAX = 1000 };
static const char ellipsis[] = "…";

/* --- what is alike --- */

struct out {
    char *text;
    size_t len;
    bool full;
};

/* Whole characters, or nothing more. */
static void put(struct out *out, const char *text, size_t len)
{
    if (out->full || out->len + len >= ERROR_TEXT_SIZE) {
        out->full = true;
        return;
    }
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

static size_t character_len(const char *at)
{
    size_t len = 1;
    while (((unsigned char)at[len] & 0xC0) == 0x80)
        len++;
    return len;
}

/* The part from an opening quote on, to its end; 0: it has none, or opens nothing (an apostrophe).
 */
static size_t quoted_len(const char *text, const char *at)
{
    static const char *const pairs[][2] = {{"\"", "\""}, {"'", "'"}, {"`", "`"}, {"“", "”"}};
    if (at > text && is_word(at[-1]))
        return 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t len = strlen(pairs[i][0]);
        if (strncmp(at, pairs[i][0], len) != 0)
            continue;
        const char *end = strstr(at + len, pairs[i][1]);
        return end && end - at <= QUOTED_MAX ? (size_t)(end - at) + strlen(pairs[i][1]) : 0;
    }
    return 0;
}

static const char *put_quoted(struct out *out, const char *at, size_t len)
{
    size_t first = character_len(at), last = character_len(at + len - first);
    put(out, at, first);
    put(out, ellipsis, sizeof ellipsis - 1);
    put(out, at + len - last, last);
    return at + len;
}

/* A long word with a digit is an id; of a short one only the digits are alike ("gpt-4o", "HTTP2").
 */
static const char *put_word(struct out *out, const char *at)
{
    size_t len = 0;
    bool has_digit = false;
    for (; is_word(at[len]); len++)
        has_digit |= is_digit(at[len]);
    if (has_digit && len >= ID_MIN) {
        put(out, "#", 1);
        return at + len;
    }
    for (size_t i = 0; i < len; i++)
        if (!is_digit(at[i]))
            put(out, at + i, 1);
        else if (!i || !is_digit(at[i - 1]))
            put(out, "#", 1);
    return at + len;
}

static const char *put_blank(struct out *out, const char *at)
{
    while (*at && ((unsigned char)*at <= ' ' || *at == 0x7F))
        at++;
    if (out->len && *at)
        put(out, " ", 1);
    return at;
}

void error_groups_text(const char *text, char ret_text[ERROR_TEXT_SIZE])
{
    struct out out = {.text = ret_text};
    for (const char *at = text; *at && !out.full;) {
        size_t quoted = quoted_len(text, at);
        if (quoted) {
            at = put_quoted(&out, at, quoted);
        } else if (is_word(*at)) {
            at = put_word(&out, at);
        } else if ((unsigned char)*at <= ' ' || *at == 0x7F) {
            at = put_blank(&out, at);
        } else {
            put(&out, at, character_len(at));
            at += character_len(at);
        }
    }
    ret_text[out.len] = '\0';
}

/* --- groups --- */

struct entry {
    char text[ERROR_TEXT_SIZE];
    const struct store_failure *failure;
};

struct group {
    const char *text;
    const struct store_failure *newest, *oldest;
    size_t count, users;
};

/* Failures lie newest first, so their addresses are their order. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    if (!order)
        order = strcmp(x->failure->user_id, y->failure->user_id);
    return order ? order : (x->failure > y->failure) - (x->failure < y->failure);
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->newest > y->newest) - (x->newest < y->newest);
}

static size_t make_groups(const struct entry *entries, size_t count, struct group *groups)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        const struct store_failure *failure = entries[i].failure;
        bool same = i && !strcmp(entries[i].text, entries[i - 1].text);
        if (!same)
            groups[made++] = (struct group){entries[i].text, failure, failure, 0, 0};
        struct group *group = &groups[made - 1];
        group->count++;
        group->users += !same || strcmp(failure->user_id, entries[i - 1].failure->user_id) != 0;
        group->newest = failure < group->newest ? failure : group->newest;
        group->oldest = failure > group->oldest ? failure : group->oldest;
    }
    return made;
}

static json_t *group_json(const struct group *group)
{
    const char *example = group->newest->error_message;
    example = example ? example : "";
    return json_pack("{s:s, s:o, s:I, s:I, s:s?, s:s?, s:s}", "error", group->text, "example",
                     js_string_capped(example, strlen(example), EXAMPLE_MAX, "…"), "count",
                     (json_int_t)group->count, "users", (json_int_t)group->users, "first_at",
                     group->oldest->at, "last_at", group->newest->at, "job_id",
                     group->newest->job_id);
}

json_t *error_groups_json(const struct store_failure *failures, size_t count)
{
    AUTOFREE struct entry *entries = mem_alloc(count * sizeof *entries);
    AUTOFREE struct group *groups = mem_alloc(count * sizeof *groups);
    for (size_t i = 0; i < count; i++) {
        const char *message = failures[i].error_message;
        entries[i].failure = &failures[i];
        error_groups_text(message ? message : "", entries[i].text);
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    size_t made = make_groups(entries, count, groups);
    qsort(groups, made, sizeof *groups, compare_groups);
    json_t *list = json_array();
    for (size_t i = 0; i < made && i < ERROR_GROUPS_MAX; i++)
        json_array_append_new(list, group_json(&groups[i]));
    return json_pack("{s:o, s:I}", "errors", list, "looked_at", (json_int_t)count);
}
