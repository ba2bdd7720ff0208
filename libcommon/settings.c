#include "libcommon/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/near.h"

enum { LINE_MAX_BYTES = 65536 };

struct pair {
    char *name, *value;
};

struct pairs {
    struct pair *items;
    size_t count;
};

static void pairs_fini(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].name);
        mem_free_secret(&pairs->items[i].value);
    }
    free(pairs->items);
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* The value without its quotes; in double quotes \n, \" and \\ are understood. Without quotes a
 * " #" begins a comment. In place. */
static void unquote(char *value)
{
    size_t len = strlen(value);
    char quote = value[0];
    if (quote != '"' && quote != '\'') {
        char *comment = strstr(value, " #");
        if (comment)
            *comment = '\0';
        trim(value);
        return;
    }
    char *out = value;
    for (size_t i = 1; i < len && value[i] != quote; i++) {
        if (quote == '"' && value[i] == '\\' && i + 1 < len) {
            i++;
            *out++ = value[i] == 'n' ? '\n' : value[i];
        } else {
            *out++ = value[i];
        }
    }
    *out = '\0';
}

static bool is_name(const char *text)
{
    if (isdigit((unsigned char)*text))
        return false;
    size_t len = strlen(text);
    return len &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == len;
}

/* False: the line is neither NAME=value nor empty nor a comment. */
static bool add_line(struct pairs *pairs, char *line)
{
    line = trim(line);
    if (*line == '#' || !*line)
        return true;
    if (strncmp(line, "export ", 7) == 0)
        line = trim(line + 7);
    char *equals = strchr(line, '=');
    if (!equals)
        return false;
    *equals = '\0';
    char *name = trim(line);
    if (!is_name(name))
        return false;
    char *value = trim(equals + 1);
    unquote(value);
    pairs->items = mem_resize(pairs->items, (pairs->count + 1) * sizeof *pairs->items);
    pairs->items[pairs->count++] = (struct pair){mem_strdup(name), mem_strdup(value)};
    return true;
}

/* By its number alone: a line that went wrong may be part of a secret. */
static void notice_line(unsigned number, settings_notice_fn *notice)
{
    char name[32];
    snprintf(name, sizeof name, "line %u", number);
    if (notice)
        notice(name, "of the .env file is neither NAME=value nor a comment; it is ignored");
}

static void read_file(const char *path, struct pairs *pairs, settings_notice_fn *notice)
{
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return;
    char *line = mem_alloc(LINE_MAX_BYTES);
    bool begins = true; /* else it is the rest of a line too long */
    for (unsigned number = 0; pairs->count < 1000 && fgets(line, LINE_MAX_BYTES, file);) {
        size_t len = strlen(line);
        bool ends = len < LINE_MAX_BYTES - 1 || line[len - 1] == '\n';
        if (begins && ++number && !add_line(pairs, line))
            notice_line(number, notice);
        begins = ends;
    }
    explicit_bzero(line, LINE_MAX_BYTES);
    free(line);
    fclose(file);
}

static const char *file_value(const struct pairs *pairs, const char *name)
{
    const char *value = NULL; /* the last one wins, as in a shell */
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].name, name) == 0)
            value = pairs->items[i].value;
    return value;
}

static void describe(const struct setting *s, char *out, size_t size)
{
    if (s->type == SETTING_INT)
        snprintf(out, size, "a whole number from %lld to %lld", (long long)s->min,
                 (long long)s->max);
    else if (s->type == SETTING_CHOICE)
        snprintf(out, size, "one of %s", s->choices);
    else if (s->type == SETTING_URL)
        snprintf(out, size, "a URL that begins with http:// or https://");
    else if (s->max > 0)
        snprintf(out, size, "a text of %lld to %lld characters", (long long)s->min,
                 (long long)s->max);
    else
        snprintf(out, size, "a text");
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    if (strchr(value, ','))
        return false;
    for (const char *c = choices; c; c = strchr(c, ',') ? strchr(c, ',') + 1 : NULL)
        if (len && strncmp(c, value, len) == 0 && (c[len] == ',' || c[len] == '\0'))
            return true;
    return false;
}

static bool is_url(const char *value)
{
    const char *rest = NULL;
    if (strncmp(value, "http://", 7) == 0)
        rest = value + 7;
    else if (strncmp(value, "https://", 8) == 0)
        rest = value + 8;
    if (!rest || !*rest || *rest == '/')
        return false;
    for (; *rest; rest++)
        if ((unsigned char)*rest <= ' ' || *rest == 0x7f)
            return false;
    return true;
}

static bool parse_int(const struct setting *s, const char *value, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end || n < s->min || n > s->max)
        return false;
    *ret = n;
    return true;
}

static bool in_length(const struct setting *s, const char *value)
{
    int64_t len = (int64_t)strlen(value);
    return s->max == 0 || (len >= s->min && len <= s->max);
}

static bool store(const struct setting *s, const char *value, void *config)
{
    char *field = (char *)config + s->offset;
    if (s->type == SETTING_INT) {
        int64_t n = 0;
        if (!parse_int(s, value, &n))
            return false;
        memcpy(field, &n, sizeof n);
        return true;
    }
    if ((s->type == SETTING_CHOICE && !is_choice(s->choices, value)) ||
        (s->type == SETTING_URL && !is_url(value)) || !in_length(s, value))
        return false;
    const char *copy = mem_strdup(value);
    memcpy(field, &copy, sizeof copy);
    return true;
}

static void notice_name(const struct setting *table, size_t count, const char *name,
                        settings_notice_fn *notice)
{
    struct near near;
    char what[160];
    near_begin(&near, name);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return;
        if (table[i].type != SETTING_OBSOLETE)
            near_offer(&near, table[i].name);
    }
    snprintf(what, sizeof what, "is not a setting of mcpbus; it is ignored%s%s%s",
             near.best ? " (did you mean " : "", near.best ? near.best : "", near.best ? "?)" : "");
    notice(name, what);
}

static void notice_unknown(const struct setting *table, size_t count, const struct pairs *pairs,
                           settings_notice_fn *notice)
{
    for (size_t i = 0; notice && i < pairs->count; i++)
        notice_name(table, count, pairs->items[i].name, notice);
}

static enum err load_one(const struct setting *s, const struct pairs *pairs, void *config,
                         settings_notice_fn *notice, char *ret_why)
{
    const char *value = getenv(s->name);
    if (!value || !*value)
        value = file_value(pairs, s->name);
    bool given = value && *value;
    if (s->type == SETTING_OBSOLETE) {
        if (given && notice)
            notice(s->name, s->help);
        return ERR_OK;
    }
    if (!given)
        value = s->def;
    if (!value || store(s, value, config))
        return ERR_OK;
    char takes[128];
    describe(s, takes, sizeof takes);
    bool secret = s->type == SETTING_SECRET;
    snprintf(ret_why, SETTINGS_WHY_SIZE, "%s takes %s%s%.100s%s", s->name, takes,
             secret ? "" : ", not \"", secret ? "" : value, secret ? "" : "\"");
    return ERR_INVALID;
}

enum err settings_load(const struct setting *table, size_t count, const char *env_file,
                       void *config, settings_notice_fn *notice, char ret_why[SETTINGS_WHY_SIZE])
{
    struct pairs pairs = {0};
    read_file(env_file, &pairs, notice);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = load_one(&table[i], &pairs, config, notice, ret_why);
    if (err == ERR_OK)
        notice_unknown(table, count, &pairs, notice);
    pairs_fini(&pairs);
    return err;
}

void settings_print_help(const struct setting *table, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == SETTING_OBSOLETE)
            continue;
        char takes[128];
        describe(&table[i], takes, sizeof takes);
        fprintf(out, "  %s (%s%s%s)\n      %s\n", table[i].name, takes,
                table[i].def ? "; default " : "", table[i].def ? table[i].def : "", table[i].help);
    }
}

void settings_print_env_example(const struct setting *table, size_t count, FILE *out)
{
    fputs("# Settings of mcpbus. Copy to .env and change what you need; the environment wins over\n"
          "# this file. A line that begins with # is the default or an example.\n",
          out);
    for (size_t i = 0; i < count; i++) {
        char takes[128];
        describe(&table[i], takes, sizeof takes);
        if (table[i].type == SETTING_OBSOLETE)
            fprintf(out, "\n# %s: %s\n", table[i].name, table[i].help);
        else
            fprintf(out, "\n# %s\n# Takes %s.\n#%s=%s\n", table[i].help, takes, table[i].name,
                    table[i].def ? table[i].def : "");
    }
}
