/* Drive's API v3: listing, reading, changing files. */
#include "services/sandbox/drive.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive_query.h"

#define GOOGLE_APP "application/vnd.google-apps."
enum { QUERY_MAX = 8192, PAGE_MAX = 1000, NAME_MAX_BYTES = 1024, MADE_IDS = 1000 };

json_t *drive_view(const json_t *file)
{
    json_t *view = json_copy((json_t *)file);
    json_object_del(view, "_text");
    json_object_del(view, "_data");
    return view;
}

static json_t *root_folder(struct call *call, const char *root)
{
    json_t *file = file_new(call->account, root, "My Drive", GOOGLE_APP "folder", NULL,
                            call->now_ms, call->now_ms);
    json_object_del(file, "parents");
    return file;
}

json_t *drive_own_file(struct call *call, const char *id)
{
    json_t *file = item_find(call->account->files, id);
    if (!file) {
        AUTOFREE char *message = mem_printf("File not found: %s.", id);
        google_error(call, 404, "notFound", message);
    }
    return file;
}

/* One key of orderBy. */
static int compare_by(const json_t *a, const json_t *b, const char *key, size_t len)
{
    static const char *const KEYS[] = {"name", "modifiedTime", "createdTime"};
    if (len == 6 && memcmp(key, "folder", 6) == 0) {
        bool first = strcmp(js_str(a, "mimeType", ""), GOOGLE_APP "folder") == 0;
        bool second = strcmp(js_str(b, "mimeType", ""), GOOGLE_APP "folder") == 0;
        return (int)second - (int)first;
    }
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
        if (len >= 4 && strncmp(KEYS[i], key, 4) == 0)
            return strcasecmp(js_str(a, KEYS[i], ""), js_str(b, KEYS[i], ""));
    return strcmp(js_str(a, "modifiedTime", ""), js_str(b, "modifiedTime", ""));
}

static int compare_files(const void *a, const void *b, void *order)
{
    for (const char *key = order; *key;) {
        key += strspn(key, ", ");
        size_t whole = strcspn(key, ","), len = strcspn(key, ", ");
        int result = compare_by(*(json_t *const *)a, *(json_t *const *)b, key, len);
        if (result)
            return memmem(key, whole, " desc", 5) ? -result : result;
        key += whole;
    }
    return 0;
}

static bool order_is_known(const char *order)
{
    static const char KNOWN[] = " createdTime folder modifiedByMeTime modifiedTime name "
                                "name_natural quotaBytesUsed recency sharedWithMeTime starred "
                                "viewedByMeTime desc ";
    char word[64];
    if (strlen(order) > 256)
        return false;
    while (*order) {
        order += strspn(order, ", ");
        size_t len = strcspn(order, ", ");
        snprintf(word, sizeof(word), " %.*s ", (int)len, order);
        if (len == 0)
            return true;
        if (len > 40 || !strstr(KNOWN, word))
            return false;
        order += len;
    }
    return true;
}

/* The files that fit the query; `ret_files` has room for all. False after a 400. */
static bool select_files(struct call *call, const char *query, json_t **files, size_t *ret_count)
{
    char root[ITEM_ID_SIZE];
    size_t i, count = 0;
    json_t *file;
    bool matches;
    AUTOJSON json_t *any = json_object();
    file_root_id(call->account, root);
    if (strlen(query) > QUERY_MAX ||
        drive_query_matches(query, any, root, call->account->email, &matches)) {
        google_error(call, 400, "invalid", "Invalid Value");
        return false;
    }
    json_array_foreach(call->account->files, i,
                       file) if (drive_query_matches(query, file, root, call->account->email,
                                                     &matches) == ERR_OK &&
                                 matches) files[count++] = file;
    *ret_count = count;
    return true;
}

void drive_list(struct call *call)
{
    const char *query = http_request_query(call->request, "q");
    const char *order = http_request_query(call->request, "orderBy");
    size_t offset, count, limit = (size_t)call_limit(call, "pageSize", 100, PAGE_MAX);
    json_t *files[ACCOUNT_ITEMS_MAX];
    if (!call_offset(call, &offset) || !select_files(call, query ? query : "", files, &count))
        return;
    if (order && !order_is_known(order)) {
        google_error(call, 400, "invalid", "Invalid value for orderBy.");
        return;
    }
    qsort_r(files, count, sizeof(files[0]), compare_files,
            (void *)(order && *order ? order : "modifiedTime desc"));
    json_t *list = json_array();
    for (size_t i = offset; i < count && i - offset < limit; i++)
        json_array_append_new(list, drive_view(files[i]));
    json_t *answer = json_pack("{s:s, s:b, s:o}", "kind", "drive#fileList", "incompleteSearch", 0,
                               "files", list);
    if (offset + limit < count)
        json_object_set_new(answer, "nextPageToken", page_token(offset + limit));
    reply_json(call, 200, answer);
}

/* A type that a caller gave goes into a header. */
static bool type_is_plain(const char *type)
{
    return *type && strlen(type) < 128 &&
           !type[strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "/.+-_;= ")];
}

static void reply_content(struct call *call, const json_t *file, const char *type)
{
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    file_content(file, &data, &len);
    reply_text(call, 200, type_is_plain(type) ? type : "application/octet-stream", data, len);
}

void drive_get(struct call *call)
{
    char root[ITEM_ID_SIZE];
    const char *alt = http_request_query(call->request, "alt");
    file_root_id(call->account, root);
    if (strcmp(call->args[0], "root") == 0 || strcmp(call->args[0], root) == 0) {
        reply_json(call, 200, root_folder(call, root));
        return;
    }
    const json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return;
    const char *type = js_str(file, "mimeType", "");
    if (!alt || strcmp(alt, "media") != 0)
        reply_json(call, 200, drive_view(file));
    else if (strncmp(type, GOOGLE_APP, strlen(GOOGLE_APP)) == 0)
        google_error(call, 403, "fileNotDownloadable",
                     "Only files with binary content can be downloaded. Use Export with Docs "
                     "Editors files.");
    else
        reply_content(call, file, type);
}

static bool export_known(const char *from, const char *to)
{
    if (strcmp(from, GOOGLE_APP "document") == 0)
        return strcmp(to, "text/plain") == 0 || strcmp(to, "text/markdown") == 0 ||
               strcmp(to, "application/pdf") == 0 || strstr(to, "wordprocessingml");
    if (strcmp(from, GOOGLE_APP "spreadsheet") == 0)
        return strcmp(to, "text/csv") == 0 || strcmp(to, "text/tab-separated-values") == 0 ||
               strcmp(to, "application/pdf") == 0;
    return strcmp(from, GOOGLE_APP "presentation") == 0 && strcmp(to, "text/plain") == 0;
}

void drive_export(struct call *call)
{
    const char *type = http_request_query(call->request, "mimeType");
    const json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return;
    const char *from = js_str(file, "mimeType", "");
    size_t len;
    if (strncmp(from, GOOGLE_APP, strlen(GOOGLE_APP)) != 0) {
        google_error(call, 403, "fileNotExportable", "Export only supports Docs Editors files.");
    } else if (!type || !export_known(from, type)) {
        google_error(call, 400, "badRequest", "The requested conversion is not supported.");
    } else if (strcmp(type, "application/pdf") == 0) {
        AUTOFREE uint8_t *pdf = office_pdf(js_str(file, "_text", ""), &len);
        reply_text(call, 200, type, pdf, len);
    } else if (strstr(type, "wordprocessingml")) {
        AUTOFREE uint8_t *docx = office_docx(js_str(file, "_text", ""), &len);
        reply_text(call, 200, type, docx, len);
    } else {
        reply_content(call, file, type);
    }
}

void drive_about(struct call *call)
{
    reply_json(call, 200,
               json_pack("{s:s, s:{s:s, s:s, s:b}}", "kind", "drive#about", "user", "emailAddress",
                         call->account->email, "displayName", call->account->name, "me", 1));
}

static void set_parents(struct call *call, json_t *file, const json_t *metadata)
{
    char root[ITEM_ID_SIZE];
    const char *add = http_request_query(call->request, "addParents");
    const char *wanted = json_string_value(json_array_get(json_object_get(metadata, "parents"), 0));
    wanted = add ? add : wanted;
    if (!wanted)
        return;
    file_root_id(call->account, root);
    json_object_set_new(file, "parents",
                        json_pack("[s]", strcmp(wanted, "root") == 0 ? root : wanted));
}

static bool parent_exists(struct call *call, const json_t *metadata)
{
    char root[ITEM_ID_SIZE];
    const char *add = http_request_query(call->request, "addParents");
    const char *wanted = json_string_value(json_array_get(json_object_get(metadata, "parents"), 0));
    wanted = add ? add : wanted;
    file_root_id(call->account, root);
    return !wanted || strcmp(wanted, "root") == 0 || strcmp(wanted, root) == 0 ||
           drive_own_file(call, wanted) != NULL;
}

void drive_apply(struct call *call, json_t *file, const json_t *metadata)
{
    static const char *const TEXTS[] = {"name", "mimeType", "description", NULL};
    static const char *const FLAGS[] = {"trashed", "starred", NULL};
    char now[TIME_TEXT_SIZE];
    for (int i = 0; TEXTS[i]; i++) {
        const char *value = js_str(metadata, TEXTS[i], NULL);
        if (value)
            json_object_set_new(file, TEXTS[i],
                                js_string_capped(value, strlen(value), NAME_MAX_BYTES, ""));
    }
    for (int i = 0; FLAGS[i]; i++)
        if (json_is_boolean(json_object_get(metadata, FLAGS[i])))
            json_object_set(file, FLAGS[i], json_object_get(metadata, FLAGS[i]));
    set_parents(call, file, metadata);
    time_rfc3339(call->now_ms, now);
    json_object_set_new(file, "modifiedTime", json_string(now));
}

json_t *drive_make(struct call *call, const json_t *metadata, const char *type)
{
    char id[ITEM_ID_SIZE];
    if (!parent_exists(call, metadata))
        return NULL;
    data_file_id(call->account->email, MADE_IDS + call->account->serial++, id);
    const char *wanted = js_str(metadata, "mimeType", type ? type : "application/octet-stream");
    json_t *file =
        file_new(call->account, id, "Untitled", wanted, NULL, call->now_ms, call->now_ms);
    drive_apply(call, file, metadata);
    return file;
}

void drive_store(struct call *call, json_t *file, size_t bytes)
{
    json_incref(file);
    if (item_add(call->account, call->account->files, file, bytes + 512))
        google_error(call, 403, "storageQuotaExceeded", "The invented Drive is full.");
    else
        reply_json(call, 200, drive_view(file));
    json_decref(file);
}

void drive_create(struct call *call)
{
    AUTOJSON json_t *metadata = google_body(call);
    json_t *file = metadata ? drive_make(call, metadata, NULL) : NULL;
    if (file)
        drive_store(call, file, 0);
}

void drive_update(struct call *call)
{
    json_t *file = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *metadata = file ? google_body(call) : NULL;
    if (!metadata || !parent_exists(call, metadata))
        return;
    drive_apply(call, file, metadata);
    reply_json(call, 200, drive_view(file));
}

void drive_delete(struct call *call)
{
    if (!drive_own_file(call, call->args[0]))
        return;
    item_remove(call->account->files, call->args[0]);
    http_respond(call->request, 204, NULL, "", 0, NULL);
}

void drive_copy(struct call *call)
{
    const json_t *original = drive_own_file(call, call->args[0]);
    AUTOJSON json_t *metadata = original ? google_body(call) : NULL;
    if (!metadata || !parent_exists(call, metadata))
        return;
    AUTOFREE uint8_t *data = NULL;
    size_t len;
    AUTOFREE char *name = mem_printf("Copy of %s", js_str(original, "name", ""));
    json_t *file = drive_make(call, original, NULL);
    if (!file)
        return;
    file_content(original, &data, &len);
    json_object_set_new(file, "name", json_string(name));
    drive_apply(call, file, metadata);
    file_set_content(file, data, len);
    drive_store(call, file, len);
}
