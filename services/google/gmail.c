#include "services/google/gmail.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/mime.h"
#include "services/google/mime_build.h"

enum { LIST_PAGE_MAX = 500, ID_SIZE = 257 };

#define MESSAGES "/gmail/v1/users/me/messages"

char *gmail_path(const char *id, const char *rest)
{
    return mem_printf(MESSAGES "/%s%s", id, rest);
}

enum err gmail_get(struct api *api, const char *id, const char *query, json_t **ret_message,
                   struct result *result)
{
    char why[API_WHY_SIZE] = "";
    if (!api_is_id(id)) {
        result_fail(result, "\"message_id\" is not the id of a message.");
        return ERR_INVALID;
    }
    AUTOFREE char *path = gmail_path(id, "");
    struct api_request request = {.host = API_GMAIL, .path = path, .query = query};
    enum err err = api_call(api, &request, ret_message, why);
    if (err)
        result_fail(result, "%s", why);
    return err;
}

char *gmail_header(const json_t *message, const char *name)
{
    const char *value = mime_header(json_object_get(message, "payload"), name);
    return value ? mime_decode_header(value) : NULL;
}

/* Walking */

struct gathered {
    const struct gmail_walk *walk;
    char ids[API_BATCH_MAX][ID_SIZE];
    size_t count;
    int64_t done;
    bool enough;
    enum err error;
    char *why;
};

/* Reads what has been gathered, and passes it on. */
static void flush(struct gathered *gathered)
{
    struct api_request requests[API_BATCH_MAX];
    char *paths[API_BATCH_MAX];
    const struct gmail_walk *walk = gathered->walk;
    size_t count = gathered->count;
    struct api_outcome *outcomes = mem_alloc(API_BATCH_MAX * sizeof *outcomes);
    for (size_t i = 0; i < count; i++) {
        paths[i] = gmail_path(gathered->ids[i], "");
        requests[i] =
            (struct api_request){.host = API_GMAIL, .path = paths[i], .query = walk->query};
    }
    enum err err = count ? api_batch(walk->api, requests, count, outcomes, gathered->why) : ERR_OK;
    gathered->error = err;
    for (size_t i = 0; !err && !gathered->enough && i < count; i++) {
        if (outcomes[i].error == ERR_NOT_FOUND) /* deleted since it was listed */
            continue;
        if (!outcomes[i].error) {
            gathered->enough = !walk->fn(walk->arg, gathered->ids[i], outcomes[i].json);
        } else if (!gathered->error) { /* it hides none of the others that were read */
            gathered->error = outcomes[i].error;
            snprintf(gathered->why, API_WHY_SIZE, "%s", outcomes[i].why);
        }
    }
    api_outcomes_free(outcomes, count);
    free(outcomes);
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    gathered->done += (int64_t)count;
    gathered->count = 0;
    if (gathered->done < walk->max)
        api_progress(walk->api, (double)gathered->done, (double)walk->max, "reading messages");
}

static bool gather(void *arg, const json_t *item)
{
    struct gathered *gathered = arg;
    const char *id = js_str(item, "id", "");
    if (!api_is_id(id))
        return true;
    snprintf(gathered->ids[gathered->count++], ID_SIZE, "%s", id);
    if (gathered->count == API_BATCH_MAX)
        flush(gathered);
    return !gathered->error && !gathered->enough;
}

enum err gmail_walk(const struct gmail_walk *walk, bool *ret_more, char ret_why[API_WHY_SIZE])
{
    struct buf query;
    struct gathered *gathered = mem_alloc(sizeof *gathered);
    gathered->walk = walk;
    gathered->why = ret_why;
    buf_init(&query, GMAIL_QUERY_MAX);
    if (*walk->search)
        query_add(&query, "q", walk->search);
    query_add(&query, "fields", "messages/id,nextPageToken");
    struct api_list list = {
        .request = {.host = API_GMAIL, .path = MESSAGES, .query = buf_text(&query)},
        .items = "messages",
        .page_size = "maxResults",
        .page_max = LIST_PAGE_MAX,
        .max = walk->max,
        .fn = gather,
        .arg = gathered,
    };
    enum err err = buf_check(&query);
    if (err)
        snprintf(ret_why, API_WHY_SIZE, "The search is too long.");
    else
        err = api_list(walk->api, &list, ret_more, ret_why);
    buf_fini(&query);
    /* What was listed before an error is read all the same. */
    AUTOFREE char *why = mem_strdup(ret_why);
    if (!gathered->error && !gathered->enough && err != ERR_CANCELLED)
        flush(gathered);
    *ret_more = *ret_more || gathered->enough;
    if (err && !gathered->error)
        snprintf(ret_why, API_WHY_SIZE, "%s", why);
    err = gathered->error ? gathered->error : err;
    free(gathered);
    return err;
}

/* Searches */

void gmail_search_add(struct buf *search, const char *name, const char *value)
{
    if (!*value)
        return;
    buf_printf(search, "%s%s:\"", search->len ? " " : "", name);
    /* Gmail knows no way to write a quotation mark between quotation marks. */
    for (; *value; value++)
        buf_add_char(search, *value == '"' || (unsigned char)*value < ' ' ? ' ' : *value);
    buf_add_char(search, '"');
}

bool gmail_search_add_day(struct buf *search, const char *name, const char *value)
{
    static const char shape[] = "dddd-dd-dd";
    if (!*value)
        return true;
    char day[sizeof shape] = "";
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        bool digit = isdigit((unsigned char)value[i]) != 0;
        if (shape[i] == 'd' ? !digit : value[i] != '-' && value[i] != '/')
            return false;
        day[i] = digit ? value[i] : '/';
    }
    /* A time after the day, as in RFC 3339, is more than Gmail's search takes. */
    if (value[sizeof shape - 1] && value[sizeof shape - 1] != 'T')
        return false;
    buf_printf(search, "%s%s:%s", search->len ? " " : "", name, day);
    return true;
}
