/* Drive's API v3: listing and reading files. */
#include "services/sandbox/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/drive_query.h"
#include "services/sandbox/scopes.h"

enum { QUERY_MAX = 8192, PAGE_DEFAULT = 100, PAGE_MAX = 1000 };

json_t *drive_view(const json_t *file)
{
    json_t *view = json_object(), *member;
    const char *key;
    json_object_foreach((json_t *)file, key, member)
    {
        if (*key != '_')
            json_object_set(view, key, member);
    }
    return view;
}

void drive_reply(struct call *call, json_t *body, const char *fields)
{
    const char *wanted = call_query(call, "fields");
    reply_fields(call, 200, body, wanted && *wanted ? wanted : fields, NULL);
}

static json_t *root_folder(struct call *call, const char *root)
{
    json_t *file = file_new(call->account, root, "My Drive", GOOGLE_APP "folder", NULL,
                            call->now_ms, call->now_ms);
    json_object_del(file, "parents");
    return file;
}

bool drive_is_root(const struct call *call, const char *id)
{
    char root[ITEM_ID_SIZE];
    file_root_id(call->account, root);
    return strcmp(id, "root") == 0 || strcmp(id, root) == 0;
}

bool drive_is_folder(const json_t *file)
{
    return strcmp(js_str(file, "mimeType", ""), GOOGLE_APP "folder") == 0;
}

bool drive_shows(const struct call *call, const json_t *file)
{
    const uint32_t apps_alone = SCOPE_DRIVE_FILE;
    const uint32_t others = SCOPE_DRIVE | SCOPE_DRIVE_READONLY | SCOPE_DRIVE_METADATA |
                            SCOPE_DRIVE_METADATA_READONLY | SCOPE_DOCUMENTS |
                            SCOPE_DOCUMENTS_READONLY | SCOPE_SHEETS | SCOPE_SHEETS_READONLY;
    return js_bool(file, "_made", false) || (call->scopes & others) || !(call->scopes & apps_alone);
}

json_t *drive_own_file(struct call *call, const char *id)
{
    json_t *file = item_find(call->account->files, id);
    if (file && drive_shows(call, file))
        return file;
    AUTOFREE char *message = mem_printf("File not found: %s.", id);
    google_error(call, 404, "notFound", message);
    return NULL;
}

/* files.list */

/* One key of orderBy. */
static int compare_by(const json_t *a, const json_t *b, const char *key, size_t len)
{
    static const char *const KEYS[] = {"name", "modifiedTime", "createdTime"};
    if (len == 6 && memcmp(key, "folder", 6) == 0)
        return (int)drive_is_folder(b) - (int)drive_is_folder(a);
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
    json_array_foreach(call->account->files, i, file)
    {
        if (drive_shows(call, file) &&
            drive_query_matches(query, file, root, call->account->email, &matches) == ERR_OK &&
            matches)
            files[count++] = file;
    }
    *ret_count = count;
    return true;
}

static bool is_true(struct call *call, const char *name)
{
    const char *value = call_query(call, name);
    return value && strcmp(value, "true") == 0;
}

/* False after an error answer. */
static bool check_list(struct call *call, const char *query, const char *order)
{
    const char *size = call_query(call, "pageSize");
    char *end = NULL;
    long number = size ? strtol(size, &end, 10) : 1;
    if ((size && (!*size || *end)) || number < 1 || number > PAGE_MAX)
        google_error(call, 400, "invalidParameter",
                     "Invalid value. Values must be within the range: [1, 1000]");
    else if (order && !order_is_known(order))
        google_error(call, 400, "invalid", "Invalid value for orderBy.");
    else if (order && *order && strstr(query, "fullText"))
        google_error(call, 403, "forbidden",
                     "Sorting is not supported for queries with fullText terms. Results are always "
                     "in descending relevance order.");
    else if ((strstr(query, "fullText") || strstr(query, "name contains")) &&
             !(call->scopes & (SCOPE_DRIVE | SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE)))
        google_error(call, 403, "insufficientScopes",
                     "The granted scopes do not allow use of this query.");
    else if (is_true(call, "includeItemsFromAllDrives") && !is_true(call, "supportsAllDrives"))
        google_error(call, 403, "teamDrivesNotSupported",
                     "includeItemsFromAllDrives requires supportsAllDrives.");
    else
        return true;
    return false;
}

void drive_list(struct call *call)
{
    const char *query = call_query(call, "q");
    const char *order = call_query(call, "orderBy");
    size_t offset, count, limit = (size_t)call_limit(call, "pageSize", PAGE_DEFAULT, PAGE_MAX);
    json_t *files[ACCOUNT_ITEMS_MAX];
    query = query ? query : "";
    if (!check_list(call, query, order) || !call_offset(call, &offset) ||
        !select_files(call, query, files, &count))
        return;
    qsort_r(files, count, sizeof(files[0]), compare_files,
            (void *)(order && *order ? order : "modifiedTime desc"));
    json_t *list = json_array();
    for (size_t i = offset; i < count && i - offset < limit; i++)
        json_array_append_new(list, drive_view(files[i]));
    json_t *answer = json_pack("{s:s, s:b, s:o}", "kind", "drive#fileList", "incompleteSearch", 0,
                               "files", list);
    if (offset + limit < count)
        json_object_set_new(answer, "nextPageToken", page_token(offset + limit));
    drive_reply(call, answer, "kind,incompleteSearch,nextPageToken,files(" DRIVE_FILE_FIELDS ")");
}

/* Contents */

/* A type that a caller gave goes into a header. */
static bool type_is_plain(const char *type)
{
    return *type && strlen(type) < 128 &&
           !type[strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "/.+-_;= ")];
}

/* "bytes=FROM-TO", "bytes=FROM-": one range alone. */
static bool read_range(const char *text, size_t len, size_t *ret_from, size_t *ret_to)
{
    char *end = NULL;
    if (!text || strncmp(text, "bytes=", 6) != 0)
        return false;
    size_t from = strtoul(text + 6, &end, 10), to = len - 1;
    if (end == text + 6 || *end != '-')
        return false;
    const char *last = end + 1;
    if (*last)
        to = strtoul(last, &end, 10);
    if ((*last && *end) || from >= len || to < from)
        return false;
    *ret_from = from;
    *ret_to = to < len ? to : len - 1;
    return true;
}

static void reply_content(struct call *call, const json_t *file, const char *type)
{
    AUTOFREE uint8_t *data = NULL;
    size_t len, from, to;
    char range[96];
    file_content(file, &data, &len);
    type = type_is_plain(type) ? type : "application/octet-stream";
    if (!read_range(http_request_header(call->request, "Range"), len, &from, &to)) {
        reply_text(call, 200, type, data, len);
        return;
    }
    snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", from, to, len);
    const struct http_header headers[] = {{"Content-Range", range}, {NULL, NULL}};
    call_respond(call, 206, type, data + from, to - from + 1, headers);
}

static bool may_read_content(const struct call *call)
{
    return (call->scopes & (SCOPE_DRIVE | SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE)) != 0;
}

void drive_get(struct call *call)
{
    char root[ITEM_ID_SIZE];
    const char *alt = call_query(call, "alt");
    file_root_id(call->account, root);
    if (drive_is_root(call, call->args[0])) {
        drive_reply(call, root_folder(call, root), DRIVE_FILE_FIELDS);
        return;
    }
    const json_t *file = drive_own_file(call, call->args[0]);
    if (!file)
        return;
    const char *type = js_str(file, "mimeType", "");
    if (!alt || strcmp(alt, "media") != 0)
        drive_reply(call, drive_view(file), DRIVE_FILE_FIELDS);
    else if (!may_read_content(call))
        google_scope_missing(call);
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
    return strcmp(from, GOOGLE_APP "presentation") == 0 &&
           (strcmp(to, "text/plain") == 0 || strcmp(to, "application/pdf") == 0);
}

/* Docs puts a byte order mark in front and ends lines as Windows does. */
static void reply_plain(struct call *call, const json_t *file)
{
    const char *text = js_str(file, "_text", "");
    struct buf out;
    buf_init(&out, (size_t)3 * FILE_CONTENT_MAX);
    buf_add_str(&out, "\xef\xbb\xbf");
    for (; *text; text++) {
        if (*text == '\n')
            buf_add_char(&out, '\r');
        buf_add_char(&out, *text);
    }
    reply_text(call, 200, "text/plain", buf_text(&out), out.len);
    buf_fini(&out);
}

void drive_export(struct call *call)
{
    const char *type = call_query(call, "mimeType");
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
    } else if (strcmp(type, "text/plain") == 0) {
        reply_plain(call, file);
    } else {
        reply_content(call, file, type);
    }
}

void drive_about(struct call *call)
{
    if (!call_query(call, "fields")) {
        google_error(call, 400, "required", "The 'fields' parameter is required for this method.");
        return;
    }
    char used[32];
    snprintf(used, sizeof(used), "%zu", call->account->stored);
    reply_json(call, 200,
               json_pack("{s:s, s:{s:s, s:s, s:s, s:b}, s:{s:s, s:s}}", "kind", "drive#about",
                         "user", "kind", "drive#user", "emailAddress", call->account->email,
                         "displayName", call->account->name, "me", 1, "storageQuota", "limit",
                         "16106127360", "usage", used));
}

void drive_drives(struct call *call)
{
    reply_json(call, 200, json_pack("{s:s, s:[]}", "kind", "drive#driveList", "drives"));
}
