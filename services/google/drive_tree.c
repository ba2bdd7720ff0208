/* drive_list_folder_contents: a folder, level by level. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"
#include "services/google/drive_file.h"
#include "services/google/drive_query.h"
#include "services/google/tools.h"

#define TREE_FIELDS "nextPageToken,files(id,name,mimeType,modifiedTime,size,webViewLink,parents)"

enum {
    ITEMS_MAX = 1000,
    LEVELS_MAX = 25,
    AT_ONCE = 25, /* folders in one request */
    PAGE_MAX = 1000,
    QUERY_MAX = 8 * 1024,
    ENCODED_MAX = 24 * 1024,
    PATH_MAX_BYTES = 1000,
};

/* One thing found; `path` is where it lies, "Projects/2025/", "" in the folder itself. */
struct node {
    char *path, *name;
    json_t *file;
};

struct tree {
    struct api *api;
    struct node *nodes[ITEMS_MAX + 1]; /* [0]: the folder itself */
    size_t count;
    struct map *folders;         /* id → its node */
    size_t next;                 /* node whose level is listed next */
    bool subfolders, more, deep; /* `deep`: some levels are left out */
};

static void free_node(struct node *node)
{
    free(node->path);
    free(node->name);
    json_decref(node->file);
    free(node);
}

static void tree_free(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free_node(tree->nodes[i]);
    map_destroy(&tree->folders);
    free(tree);
}

static void add_node(struct tree *tree, const struct node *parent, const json_t *file)
{
    struct node *node = mem_alloc(sizeof *node);
    const char *id = js_str(file, "id", "");
    bool folder = drive_is_type(file, DRIVE_FOLDER);
    node->name = mem_strdup(js_str(file, "name", ""));
    node->path = parent && parent != tree->nodes[0]
                     ? mem_printf("%.*s%.200s/", PATH_MAX_BYTES, parent->path, parent->name)
                     : mem_strdup("");
    node->file = json_incref((json_t *)file);
    tree->nodes[tree->count++] = node;
    /* A folder that was met before leads no further: a cycle ends here. */
    if (folder && !map_get(tree->folders, id, strlen(id)))
        map_put(tree->folders, id, strlen(id), node);
}

static bool take_file(void *arg, const json_t *file)
{
    struct tree *tree = arg;
    size_t i;
    json_t *parent;
    const struct node *in = NULL;
    json_array_foreach(json_object_get(file, "parents"), i, parent)
    {
        const char *id = json_string_value(parent);
        if (id && !in)
            in = map_get(tree->folders, id, strlen(id));
    }
    if (tree->count > ITEMS_MAX)
        return false;
    add_node(tree, in ? in : tree->nodes[0], file);
    return true;
}

/* The folders among the nodes [from, end) that lead further, at most AT_ONCE, as a query text.
 * Returns where it stopped. */
static size_t make_query(const struct tree *tree, size_t from, size_t end, struct buf *q)
{
    size_t folders = 0;
    char plain[DRIVE_ID_SIZE];
    for (; from < end && folders < AT_ONCE; from++) {
        const struct node *node = tree->nodes[from];
        const char *id = js_str(node->file, "id", "");
        if (map_get(tree->folders, id, strlen(id)) != node || !drive_read_id(id, plain))
            continue;
        buf_add_str(q, folders++ ? " or " : "(");
        drive_quote(q, id);
        buf_add_str(q, " in parents");
    }
    if (folders)
        buf_add_str(q, ") and trashed = false");
    return from;
}

static enum err list_some(struct tree *tree, const char *q, char *ret_why)
{
    struct buf query;
    bool more = false;
    buf_init(&query, ENCODED_MAX);
    query_add(&query, "q", q);
    buf_add_str(&query, "&orderBy=folder,name&supportsAllDrives=true&includeItemsFromAllDrives=true"
                        "&fields=" TREE_FIELDS);
    struct api_list list = {
        .request = {.host = API_DRIVE, .path = "/drive/v3/files", .query = buf_text(&query)},
        .items = "files",
        .page_size = "pageSize",
        .page_max = PAGE_MAX,
        .max = (int64_t)(ITEMS_MAX + 1 - tree->count),
        .fn = take_file,
        .arg = tree,
    };
    enum err err = api_list(tree->api, &list, &more, ret_why);
    tree->more = tree->more || more;
    buf_fini(&query);
    return err;
}

static enum err walk(struct tree *tree, char *ret_why)
{
    for (int level = 0; tree->next < tree->count; level++) {
        size_t end = tree->count;
        if (level > 0 && !tree->subfolders)
            return ERR_OK;
        if (level == LEVELS_MAX) {
            tree->deep = true;
            return ERR_OK;
        }
        while (tree->next < end) {
            struct buf q;
            buf_init(&q, QUERY_MAX);
            tree->next = make_query(tree, tree->next, end, &q);
            enum err err = q.len ? list_some(tree, buf_text(&q), ret_why) : ERR_OK;
            buf_fini(&q);
            if (err || tree->more)
                return err;
        }
        api_progress(tree->api, (double)(tree->count - 1), 0, "Listing the folder");
    }
    return ERR_OK;
}

/* A folder, then what it has. */
static int compare_nodes(const void *a, const void *b)
{
    const struct node *first = *(struct node *const *)a, *second = *(struct node *const *)b;
    AUTOFREE char *one = mem_printf("%s%s/", first->path, first->name);
    AUTOFREE char *other = mem_printf("%s%s/", second->path, second->name);
    return strcasecmp(one, other);
}

static bool show_node(struct listing *listing, const struct node *node)
{
    static const char *const copied[] = {"id",           "name", "mimeType",
                                         "modifiedTime", "size", "webViewLink"};
    struct buf text;
    json_t *json = json_object();
    bool folder = drive_is_type(node->file, DRIVE_FOLDER);
    const char *size = js_str(node->file, "size", NULL);
    AUTOFREE char *where = mem_printf("%s%s%s", node->path, node->name, folder ? "/" : "");
    buf_init(&text, RESULT_ITEM_MAX);
    buf_printf(&text, "\n%zu. ", listing->count + 1);
    text_add_line(&text, where, PATH_MAX_BYTES);
    buf_add_str(&text, "\n   ID: ");
    text_add_line(&text, js_str(node->file, "id", ""), DRIVE_NAME_MAX);
    buf_add_str(&text, "\n   Type: ");
    text_add_line(&text, js_str(node->file, "mimeType", ""), DRIVE_NAME_MAX);
    if (size)
        buf_printf(&text, "\n   Size in bytes: %.20s", size);
    buf_add_char(&text, '\n');
    json_set_line(json, "path", where, PATH_MAX_BYTES);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        json_set_line(json, copied[i], js_str(node->file, copied[i], NULL), DRIVE_NAME_MAX);
    bool added = listing_add(listing, buf_text(&text), text.len, json);
    buf_fini(&text);
    return added;
}

static void show_tree(struct tree *tree, enum err err, const char *why, struct result *result)
{
    struct listing listing;
    listing_begin(&listing, result, "files");
    qsort(tree->nodes + 1, tree->count - 1, sizeof tree->nodes[0], compare_nodes);
    for (size_t i = 1; i < tree->count; i++)
        if (!show_node(&listing, tree->nodes[i]))
            break;
    listing_end(&listing, "file", err, why, tree->more || tree->deep);
    if (!result->error)
        json_set_line(result->structured, "folder", tree->nodes[0]->name, DRIVE_NAME_MAX);
}

void drive_list_folder_contents(struct api *api, const json_t *args, struct result *result)
{
    char id[DRIVE_ID_SIZE], why[API_WHY_SIZE] = "";
    AUTOJSON json_t *folder = NULL;
    if (!drive_id_arg(args, "folder_id", id, result))
        return;
    /* Of "My Drive" nothing needs to be asked. */
    if (strcmp(id, "root") == 0)
        folder = json_pack("{s:s,s:s,s:s}", "id", id, "name", "My Drive", "mimeType", DRIVE_FOLDER);
    else if (!drive_fetch_file(api, id, DRIVE_TELL_FIELDS, &folder, result))
        return;
    if (!drive_is_type(folder, DRIVE_FOLDER)) {
        result_fail(result, "That is not a folder but a file of type %.100s.",
                    js_str(folder, "mimeType", "unknown"));
        return;
    }
    struct tree *tree = mem_alloc(sizeof *tree);
    tree->api = api;
    tree->folders = map_new();
    tree->subfolders = js_bool(args, "include_subfolders", true);
    add_node(tree, NULL, folder);
    enum err err = walk(tree, why);
    show_tree(tree, err, why, result);
    tree_free(tree);
}
