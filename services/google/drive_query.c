#include "services/google/drive_query.h"

#include <string.h>
#include <strings.h>

void drive_quote(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

void drive_search_query(struct buf *out, const char *text)
{
    buf_add_str(out, "(name contains ");
    drive_quote(out, text);
    buf_add_str(out, " or fullText contains ");
    drive_quote(out, text);
    buf_add_str(out, ") and trashed = false");
}

static const struct {
    const char *word, *condition;
} kinds[] = {
#define APPS "mimeType = 'application/vnd.google-apps."
    {"document", APPS "document'"},
    {"doc", APPS "document'"},
    {"spreadsheet", APPS "spreadsheet'"},
    {"sheet", APPS "spreadsheet'"},
    {"presentation", APPS "presentation'"},
    {"slides", APPS "presentation'"},
    {"form", APPS "form'"},
    {"drawing", APPS "drawing'"},
    {"folder", APPS "folder'"},
    {"pdf", "mimeType = 'application/pdf'"},
    {"text", "mimeType = 'text/plain'"},
    {"txt", "mimeType = 'text/plain'"},
    {"csv", "mimeType = 'text/csv'"},
    {"image", "mimeType contains 'image/'"},
    {"video", "mimeType contains 'video/'"},
    {"audio", "mimeType contains 'audio/'"},
#undef APPS
};

/* "documents" is as good as "document". */
static bool is_kind(const char *word, const char *text)
{
    size_t len = strlen(word);
    return strncasecmp(word, text, len) == 0 && (!text[len] || (strcasecmp(text + len, "s") == 0));
}

static bool is_mime_type(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "!#$&^_.+-/");
    return slash && slash != text && slash[1] && !strchr(slash + 1, '/') && !text[len];
}

enum err drive_type_query(struct buf *out, const char *file_type)
{
    if (!*file_type) {
        buf_add_str(out, "trashed = false");
        return ERR_OK;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (is_kind(kinds[i].word, file_type)) {
            buf_printf(out, "%s and trashed = false", kinds[i].condition);
            return ERR_OK;
        }
    }
    if (!is_mime_type(file_type))
        return ERR_INVALID;
    buf_add_str(out, "mimeType = ");
    drive_quote(out, file_type);
    buf_add_str(out, " and trashed = false");
    return ERR_OK;
}

static bool is_order_key(const char *key, size_t len)
{
    static const char *const keys[] = {"createdTime",    "folder",        "modifiedByMeTime",
                                       "modifiedTime",   "name",          "name_natural",
                                       "quotaBytesUsed", "recency",       "sharedWithMeTime",
                                       "starred",        "viewedByMeTime"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strlen(keys[i]) == len && memcmp(keys[i], key, len) == 0)
            return true;
    return false;
}

bool drive_is_order(const char *order)
{
    for (;;) {
        order += strspn(order, " ");
        size_t len = strcspn(order, " ,");
        if (!is_order_key(order, len))
            return false;
        order += len;
        order += strspn(order, " ");
        if (strncmp(order, "desc", 4) == 0) {
            order += 4;
            order += strspn(order, " ");
        }
        if (!*order)
            return true;
        if (*order++ != ',')
            return false;
    }
}
