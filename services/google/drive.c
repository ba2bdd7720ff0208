#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/google/drive_query.h"
#include "services/google/tools.h"

enum {
    PAGE_MAX = 100,
    SEARCH_MAX = 50,
    QUERY_MAX = 16 * 1024,
    ENCODED_MAX = 64 * 1024,
    NAME_MAX_BYTES = 500
};

#define FIELDS                                                                             \
    "nextPageToken,incompleteSearch,files(id,name,mimeType,modifiedTime,size,webViewLink," \
    "owners(displayName,emailAddress))"

static const char *owner_of(const json_t *file)
{
    const json_t *owner = json_array_get(json_object_get(file, "owners"), 0);
    return js_str(owner, "displayName", js_str(owner, "emailAddress", NULL));
}

static void add_optional(struct buf *text, const char *label, const char *value)
{
    if (!value)
        return;
    buf_printf(text, "\n   %s: ", label);
    text_add_line(text, value, NAME_MAX_BYTES);
}

static bool take_file(void *arg, const json_t *file)
{
    struct listing *listing = arg;
    static const char *const copied[] = {"id",           "name", "mimeType",
                                         "modifiedTime", "size", "webViewLink"};
    const char *id = js_str(file, "id", "");
    struct buf text;
    if (!*id)
        return true;
    buf_init(&text, RESULT_ITEM_MAX);
    buf_printf(&text, "\n%zu. ", listing->count + 1);
    text_add_line(&text, js_str(file, "name", ""), NAME_MAX_BYTES);
    add_optional(&text, "ID", id);
    add_optional(&text, "Type", js_str(file, "mimeType", NULL));
    add_optional(&text, "Modified", js_str(file, "modifiedTime", NULL));
    add_optional(&text, "Size in bytes", js_str(file, "size", NULL));
    add_optional(&text, "Owner", owner_of(file));
    add_optional(&text, "Link", js_str(file, "webViewLink", NULL));
    buf_add_char(&text, '\n');

    json_t *json = json_object();
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        json_set_line(json, copied[i], js_str(file, copied[i], NULL), NAME_MAX_BYTES);
    json_set_line(json, "owner", owner_of(file), NAME_MAX_BYTES);
    bool added = listing_add(listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added;
}

/* Lists what the search text `q` finds. */
static void list_files(struct api *api, const char *q, const char *order, int64_t max,
                       struct result *result)
{
    struct listing listing;
    struct buf query;
    char why[API_WHY_SIZE] = "";
    bool more = false;
    buf_init(&query, ENCODED_MAX);
    query_add(&query, "q", q);
    query_add(&query, "fields", FIELDS);
    query_add(&query, "supportsAllDrives", "true");
    query_add(&query, "includeItemsFromAllDrives", "true");
    if (order)
        query_add(&query, "orderBy", order);
    listing_begin(&listing, result, "files");
    struct api_list list = {
        .request = {.host = API_DRIVE, .path = "/drive/v3/files", .query = buf_text(&query)},
        .items = "files",
        .page_size = "pageSize",
        .page_max = PAGE_MAX,
        .max = max,
        .fn = take_file,
        .arg = &listing,
    };
    enum err err = api_list(api, &list, &more, why);
    buf_fini(&query);
    listing_end(&listing, "file", err, why, more);
}

void drive_search(struct api *api, const json_t *args, struct result *result)
{
    struct buf q;
    buf_init(&q, QUERY_MAX);
    drive_search_query(&q, js_str(args, "query", ""));
    /* No order: Drive sorts full-text results by relevance and refuses any other order. */
    list_files(api, buf_text(&q), NULL, SEARCH_MAX, result);
    buf_fini(&q);
}

void drive_list_all_files(struct api *api, const json_t *args, struct result *result)
{
    const char *order = js_str(args, "order_by", "");
    struct buf q;
    buf_init(&q, QUERY_MAX);
    if (!*order)
        order = "name";
    if (!drive_is_order(order))
        result_fail(result, "\"order_by\" must be made of Drive's keys, such as name or "
                            "\"modifiedTime desc\".");
    else if (drive_type_query(&q, js_str(args, "file_type", "")) != ERR_OK)
        result_fail(result, "\"file_type\" must be document, spreadsheet, presentation, form, "
                            "drawing, folder, pdf, text, csv, image, video, audio or a MIME type.");
    else
        list_files(api, buf_text(&q), order, js_int(args, "max_results", 50), result);
    buf_fini(&q);
}
