#include <stdio.h>
#include <string.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/api.h"

enum { PAGES_MAX = 60, QUERY_MAX = 64 * 1024 };

void query_add(struct buf *query, const char *name, const char *value)
{
    AUTOFREE char *encoded = http_url_encode(value);
    buf_printf(query, "%s%s=%s", query->len ? "&" : "", name, encoded);
}

void query_add_int(struct buf *query, const char *name, int64_t value)
{
    buf_printf(query, "%s%s=%lld", query->len ? "&" : "", name, (long long)value);
}

static enum err get_page(struct api *api, const struct api_list *list, const char *token,
                         int64_t left, json_t **ret_page, char *ret_why)
{
    struct buf query;
    struct api_request request = list->request;
    buf_init(&query, QUERY_MAX);
    buf_add_str(&query, request.query ? request.query : "");
    query_add_int(&query, list->page_size, left < list->page_max ? left : list->page_max);
    if (*token)
        query_add(&query, "pageToken", token);
    request.query = buf_text(&query);
    enum err err = buf_check(&query);
    if (err)
        snprintf(ret_why, API_WHY_SIZE, "The request is too long.");
    else
        err = api_call(api, &request, ret_page, ret_why);
    buf_fini(&query);
    return err;
}

/* Passes the page's entries on; false when no more are wanted. */
static bool take_page(const struct api_list *list, const json_t *page, int64_t *left,
                      bool *ret_more)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(page, list->items), i, item)
    {
        if (*left == 0 || !list->fn(list->arg, item)) {
            *ret_more = true;
            return false;
        }
        --*left;
    }
    return true;
}

enum err api_list(struct api *api, const struct api_list *list, bool *ret_more,
                  char ret_why[API_WHY_SIZE])
{
    AUTOFREE char *token = mem_strdup("");
    int64_t left = list->max;
    *ret_more = false;
    for (int number = 0; number < PAGES_MAX; number++) {
        AUTOJSON json_t *page = NULL;
        enum err err = get_page(api, list, token, left, &page, ret_why);
        if (err)
            return err;
        const char *next = js_str(page, "nextPageToken", "");
        if (!take_page(list, page, &left, ret_more))
            return ERR_OK;
        bool same = strcmp(next, token) == 0;
        *ret_more = *next && !same;
        if (!*ret_more || left == 0)
            return ERR_OK;
        free(token);
        token = mem_strdup(next);
    }
    return ERR_OK;
}
