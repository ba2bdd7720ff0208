#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/gmail.h"
#include "services/google/scopes_gmail.h"
#include "services/google/tools.h"

static enum err get_labels(struct api *api, json_t **ret_json, char *ret_why)
{
    struct api_request request = {.host = API_GMAIL, .path = "/gmail/v1/users/me/labels"};
    return api_call(api, &request, ret_json, ret_why);
}

static bool add_label(struct listing *listing, const json_t *label)
{
    struct buf text;
    buf_init(&text, RESULT_ITEM_MAX);
    buf_add_str(&text, "- ");
    text_add_line(&text, js_str(label, "name", ""), 300);
    buf_add_str(&text, " (ID: ");
    text_add_line(&text, js_str(label, "id", ""), 300);
    buf_add_str(&text, ", ");
    text_add_line(&text, js_str(label, "type", "user"), 20);
    buf_add_str(&text, ")\n");
    json_t *item = json_object();
    json_set_line(item, "id", js_str(label, "id", ""), 300);
    json_set_line(item, "name", js_str(label, "name", ""), 300);
    json_set_line(item, "type", js_str(label, "type", "user"), 20);
    bool added = listing_add(listing, buf_text(&text), text.len, item);
    buf_fini(&text);
    return added;
}

void gmail_list_labels(struct api *api, const json_t *args, struct result *result)
{
    (void)args;
    char why[API_WHY_SIZE] = "";
    AUTOJSON json_t *json = NULL;
    struct listing listing;
    size_t i;
    json_t *label;
    enum err err = get_labels(api, &json, why);
    listing_begin(&listing, result, "labels");
    json_array_foreach(json_object_get(json, "labels"), i, label)
    {
        if (!add_label(&listing, label))
            break;
    }
    listing_end(&listing, "label", err, why, false);
}

/* gmail_modify_labels */

/* The id of a label that is given by id or by name (in any case); NULL: there is none. */
static const char *find_label(const json_t *labels, const char *wanted)
{
    size_t i;
    const json_t *label;
    const char *by_name = NULL;
    json_array_foreach(labels, i, label)
    {
        const char *id = js_str(label, "id", ""), *name = js_str(label, "name", "");
        if (strcmp(id, wanted) == 0)
            return id;
        if (strcasecmp(name, wanted) == 0 && (!by_name || strcmp(name, wanted) == 0))
            by_name = id;
    }
    return by_name;
}

static void fail_unknown(const json_t *labels, const char *wanted, struct result *result)
{
    size_t i;
    const json_t *label;
    struct buf names;
    buf_init(&names, 1500);
    json_array_foreach(labels, i, label)
    {
        buf_add_str(&names, i ? ", " : "");
        text_add_line(&names, js_str(label, "name", ""), 100);
    }
    result_fail(result, "There is no label \"%.100s\". The labels are: %s", wanted,
                buf_text(&names));
    buf_fini(&names);
}

/* New array of the ids; NULL after failing the result. */
static json_t *label_ids(const json_t *labels, const json_t *wanted, struct result *result)
{
    size_t i;
    const json_t *one;
    json_t *ids = json_array();
    json_array_foreach(wanted, i, one)
    {
        const char *id = find_label(labels, json_string_value(one));
        if (!id) {
            fail_unknown(labels, json_string_value(one), result);
            json_decref(ids);
            return NULL;
        }
        json_array_append_new(ids, json_string(id));
    }
    return ids;
}

static void add_label_names(struct buf *text, const json_t *labels, const json_t *ids)
{
    size_t i, j;
    const json_t *id, *label;
    buf_add_str(text, json_array_size(ids) ? "" : "(none)");
    json_array_foreach(ids, i, id)
    {
        const char *name = json_string_value(id);
        json_array_foreach(labels, j, label)
        {
            if (name && strcmp(js_str(label, "id", ""), name) == 0)
                name = js_str(label, "name", name);
        }
        buf_add_str(text, i ? ", " : "");
        text_add_line(text, name, 300);
    }
}

void gmail_modify_labels(struct api *api, const json_t *args, struct result *result)
{
    char why[API_WHY_SIZE] = "";
    const char *id = js_str(args, "message_id", "");
    const json_t *add = json_object_get(args, "add_labels");
    const json_t *remove = json_object_get(args, "remove_labels");
    AUTOJSON json_t *list = NULL, *answer = NULL;
    if (!api_is_id(id)) {
        result_fail(result, "\"message_id\" is not the id of a message.");
        return;
    }
    if (json_array_size(add) + json_array_size(remove) == 0) {
        result_fail(result, "Give labels in \"add_labels\" or \"remove_labels\".");
        return;
    }
    if (get_labels(api, &list, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    const json_t *labels = json_object_get(list, "labels");
    AUTOJSON json_t *add_ids = label_ids(labels, add, result);
    AUTOJSON json_t *remove_ids = add_ids ? label_ids(labels, remove, result) : NULL;
    if (!add_ids || !remove_ids)
        return;
    AUTOFREE char *path = gmail_path(id, "/modify");
    AUTOJSON json_t *body =
        json_pack("{s:O,s:O}", "addLabelIds", add_ids, "removeLabelIds", remove_ids);
    struct api_request request = {
        .method = "POST", .host = API_GMAIL, .path = path, .body = body, .repeatable = true};
    if (api_call(api, &request, &answer, why) != ERR_OK) {
        result_fail(result, "%s", why);
        return;
    }
    buf_printf(&result->text, "The labels of message %s are now: ", id);
    add_label_names(&result->text, labels, json_object_get(answer, "labelIds"));
    buf_add_char(&result->text, '\n');
}

/* gmail_delete_message */

void gmail_delete_message(struct api *api, const json_t *args, struct result *result)
{
    char why[API_WHY_SIZE] = "";
    const char *id = js_str(args, "message_id", "");
    AUTOJSON json_t *answer = NULL;
    if (!api_is_id(id)) {
        result_fail(result, "\"message_id\" is not the id of a message.");
        return;
    }
    bool for_good = (api_scopes(api) & SCOPES_GMAIL_DELETE) != 0;
    AUTOFREE char *path = gmail_path(id, for_good ? "" : "/trash");
    struct api_request request = {.method = for_good ? "DELETE" : "POST",
                                  .host = API_GMAIL,
                                  .path = path,
                                  .repeatable = true};
    if (api_call(api, &request, &answer, why) != ERR_OK)
        result_fail(result, "%s", why);
    else
        buf_printf(&result->text,
                   for_good ? "Message %s has been deleted for good.\n"
                            : "Message %s has been moved to the trash, where Gmail keeps it for "
                              "30 days.\n",
                   id);
}
