#include "services/worker/agent_tools.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"

enum {
    QUERY_MAX = 512,
    WORDS_MAX = 16,
    LINE_MAX_BYTES = 200,
    SERVERS_BUF_MAX = 1024,
    SERVERS_TEXT_MAX = 512, /* a description has 1,024 characters */
    NEAR_MAX = 5,
    NAME_MAX_BYTES = 64, /* that are compared */
};

struct agent_tools {
    const json_t *all;
    struct map *by_name; /* of all: → the tool */
    size_t max_count, max_bytes;
    bool search;
    json_t *found;   /* tools, the newest last */
    json_t *offered; /* rebuilt after each search */
};

static const char *name_of(const json_t *tool)
{
    return js_str(json_object_get(tool, "function"), "name", "");
}

static const char *description_of(const json_t *tool)
{
    return js_str(json_object_get(tool, "function"), "description", "");
}

/* How many tools, from the first on, fit into so many bytes. */
static size_t count_fitting(const json_t *all, size_t max_count, size_t max_bytes)
{
    size_t index, bytes = 2;
    json_t *tool;
    json_array_foreach(all, index, tool)
    {
        bytes += js_dump_size(tool) + 1;
        if (index == max_count || bytes > max_bytes)
            return index;
    }
    return json_array_size(all);
}

static void list_servers(const struct agent_tools *tools, struct buf *out)
{
    size_t index;
    const json_t *tool;
    char last[NAME_MAX_BYTES + 1] = "";
    json_array_foreach(tools->all, index, tool)
    {
        const char *name = name_of(tool), *end = strstr(name, "__");
        size_t len = end ? (size_t)(end - name) : 0;
        if (!len || len > NAME_MAX_BYTES || (strncmp(last, name, len) == 0 && !last[len]))
            continue;
        memcpy(last, name, len);
        last[len] = '\0';
        if (out->len > SERVERS_TEXT_MAX)
            return;
        buf_printf(out, "%s%s", out->len ? ", " : "", last);
    }
}

static json_t *search_tool(const struct agent_tools *tools)
{
    struct buf servers;
    buf_init(&servers, SERVERS_BUF_MAX);
    list_servers(tools, &servers);
    AUTOFREE char *text = mem_printf(
        "There are more tools than are listed here: %zu in all, of these servers: %s. This finds "
        "those that fit some words (of a tool's name or of what it does) and makes them callable in "
        "your next turn.",
        json_array_size(tools->all), buf_text(&servers));
    buf_fini(&servers);
    return json_pack("{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s, s:s}}, s:[s]}}}", "type", "function",
                     "function", "name", AGENT_SEARCH_TOOL, "description", text, "parameters",
                     "type", "object", "properties", "query", "type", "string", "description",
                     "words that say what the tool should do", "required", "query");
}

static bool is_found(const struct agent_tools *tools, const json_t *tool)
{
    size_t index;
    const json_t *found;
    json_array_foreach(tools->found, index, found) if (found == tool) return true;
    return false;
}

/* The configuration's first ones come first and stay the same, so that the endpoint's cache of a
 * request's beginning serves. */
static void rebuild(struct agent_tools *tools)
{
    json_decref(tools->offered);
    tools->offered = json_array();
    AUTOJSON json_t *search = search_tool(tools);
    size_t found = json_array_size(tools->found), index;
    size_t used = js_dump_size(tools->found) + js_dump_size(search);
    size_t room = tools->max_bytes > used ? tools->max_bytes - used : 0;
    size_t first = count_fitting(tools->all, tools->max_count - 1 - found, room);
    json_t *tool;
    for (index = 0; index < first; index++) {
        tool = json_array_get(tools->all, index);
        if (!is_found(tools, tool))
            json_array_append(tools->offered, tool);
    }
    json_array_append(tools->offered, search);
    json_array_extend(tools->offered, tools->found);
}

/* What was found before is offered as it is now, if it is still there. */
static json_t *found_again(const struct agent_tools *tools)
{
    json_t *found = json_array();
    size_t index;
    const json_t *tool;
    json_array_foreach(tools->found, index, tool)
    {
        const char *name = name_of(tool);
        json_t *now = map_get(tools->by_name, name, strlen(name));
        if (now)
            json_array_append(found, now);
    }
    return found;
}

void agent_tools_refresh(struct agent_tools *tools)
{
    size_t index;
    json_t *tool;
    map_destroy(&tools->by_name);
    tools->by_name = map_new();
    json_array_foreach(tools->all, index, tool)
        map_put(tools->by_name, name_of(tool), strlen(name_of(tool)), tool);
    json_t *found = found_again(tools);
    json_decref(tools->found);
    tools->found = found;
    tools->search =
        count_fitting(tools->all, tools->max_count, tools->max_bytes) < json_array_size(tools->all);
    if (tools->search)
        rebuild(tools);
}

struct agent_tools *agent_tools_new(const json_t *all, size_t max_count, size_t max_bytes)
{
    struct agent_tools *tools = mem_alloc(sizeof *tools);
    tools->all = all;
    tools->max_count = max_count;
    tools->max_bytes = max_bytes;
    tools->found = json_array();
    agent_tools_refresh(tools);
    return tools;
}

void agent_tools_destroy(struct agent_tools **tools_p)
{
    struct agent_tools *tools = *tools_p;
    if (!tools)
        return;
    *tools_p = NULL;
    map_destroy(&tools->by_name);
    json_decref(tools->found);
    json_decref(tools->offered);
    free(tools);
}

const json_t *agent_tools_offered(const struct agent_tools *tools)
{
    return tools->search ? tools->offered : tools->all;
}

bool agent_tools_has(const struct agent_tools *tools, const char *name)
{
    return map_get(tools->by_name, name, strlen(name)) != NULL;
}

bool agent_tools_is_search(const struct agent_tools *tools, const char *name)
{
    return tools->search && strcmp(name, AGENT_SEARCH_TOOL) == 0 && !agent_tools_has(tools, name);
}

struct words {
    char text[QUERY_MAX + 1];
    const char *words[WORDS_MAX];
    size_t count;
};

static void split(const char *query, struct words *words)
{
    size_t len = strlen(query);
    len = len < QUERY_MAX ? len : QUERY_MAX;
    words->count = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)query[i];
        words->text[i] = isalnum(c) || c >= 0x80 ? (char)tolower(c) : '\0';
    }
    words->text[len] = '\0';
    for (size_t i = 0; i < len && words->count < WORDS_MAX; i += strlen(words->text + i) + 1)
        if (words->text[i])
            words->words[words->count++] = words->text + i;
}

static bool holds_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; (at = strcasestr(at, word)); at++)
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[len]))
            return true;
    return false;
}

static unsigned score_of(const json_t *tool, const struct words *words)
{
    const char *name = name_of(tool), *text = description_of(tool);
    unsigned score = 0;
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->words[i];
        score += holds_word(name, word) ? 8 : strcasestr(name, word) ? 4 : 0;
        if (word[1]) /* single letters are in every text */
            score += holds_word(text, word) ? 3 : strcasestr(text, word) ? 1 : 0;
    }
    return score;
}

struct match {
    unsigned score;
    json_t *tool;
};

/* The best, the first in the configuration before its equals. */
static size_t find_best(const struct agent_tools *tools, const char *query,
                        struct match best[AGENT_TOOLS_MATCHES_MAX])
{
    struct words words;
    size_t index, count = 0;
    json_t *tool;
    split(query, &words);
    json_array_foreach(tools->all, index, tool)
    {
        struct match match = {score_of(tool, &words), tool};
        size_t at = count;
        while (at > 0 && best[at - 1].score < match.score)
            at--;
        if (!match.score || at == AGENT_TOOLS_MATCHES_MAX)
            continue;
        count += count < AGENT_TOOLS_MATCHES_MAX;
        memmove(best + at + 1, best + at, (count - 1 - at) * sizeof *best);
        best[at] = match;
    }
    return count;
}

static void add_found(struct agent_tools *tools, json_t *tool)
{
    size_t index;
    json_t *found;
    json_array_foreach(tools->found, index, found) if (found == tool)
        json_array_remove(tools->found, index--);
    json_array_append(tools->found, tool);
    while (json_array_size(tools->found) > AGENT_TOOLS_FOUND_MAX ||
           json_array_size(tools->found) > tools->max_count / 2 ||
           (json_array_size(tools->found) > 1 && js_dump_size(tools->found) > tools->max_bytes / 2))
        json_array_remove(tools->found, 0);
}

static void add_line(struct buf *out, const json_t *tool)
{
    const char *text = description_of(tool);
    AUTOJSON json_t *line = js_string_capped(text, strcspn(text, "\r\n"), LINE_MAX_BYTES, "…");
    buf_printf(out, "\n- %s: %s", name_of(tool), json_string_value(line));
}

char *agent_tools_search(struct agent_tools *tools, const char *query)
{
    struct match best[AGENT_TOOLS_MATCHES_MAX] = {0};
    size_t count = find_best(tools, query, best);
    struct buf out;
    buf_init(&out, 16 << 10);
    if (!count) {
        buf_add_str(&out, "No tool fits these words. Try others; the servers are: ");
        struct buf servers;
        buf_init(&servers, SERVERS_BUF_MAX);
        list_servers(tools, &servers);
        buf_add_str(&out, buf_text(&servers));
        buf_fini(&servers);
        return buf_steal(&out);
    }
    buf_add_str(&out, "These tools can be called now:");
    for (size_t i = count; i-- > 0;)
        add_found(tools, best[i].tool);
    for (size_t i = 0; i < count; i++)
        add_line(&out, best[i].tool);
    rebuild(tools);
    return buf_steal(&out);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance of the texts' first bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1], n = least(strlen(a), NAME_MAX_BYTES),
                                    m = least(strlen(b), NAME_MAX_BYTES);
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

static const char *short_name(const char *name)
{
    const char *at = strstr(name, "__");
    return at && at[2] ? at + 2 : name;
}

/* A quarter of the letters may differ. */
static bool is_like(const char *a, const char *b)
{
    size_t len = strlen(a);
    return distance(a, b) <= (len < 8 ? 1 : len / 4);
}

static bool is_near(const char *name, const char *other)
{
    const char *a = short_name(name), *b = short_name(other);
    return is_like(name, other) || is_like(a, b) || (strlen(a) > 2 && strcasestr(other, a));
}

char *agent_tools_near(const struct agent_tools *tools, const char *name)
{
    struct buf out;
    size_t index, count = 0;
    const json_t *tool;
    buf_init(&out, 1024);
    json_array_foreach(tools->all, index, tool)
    {
        if (strlen(name) < 2 || count == NEAR_MAX || !is_near(name, name_of(tool)))
            continue;
        buf_printf(&out, "%s%s", count++ ? ", " : "", name_of(tool));
    }
    return buf_steal(&out);
}
