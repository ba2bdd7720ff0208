#include "services/sandbox/docs_edit.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { TEXT_MAX = 4 << 20, REQUESTS_MAX = 500 };

int64_t utf16_length(const char *text, size_t len)
{
    int64_t units = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        units += (c & 0xc0) == 0x80 ? 0 : c >= 0xf0 ? 2 : 1;
    }
    return units;
}

/* The byte at a document's index (1 is the first), -1 when it lies outside or within a character.
 */
static long byte_at(const char *text, int64_t index)
{
    size_t i = 0, len = strlen(text);
    int64_t at = 1;
    while (at < index && i < len) {
        size_t step = 1;
        while (i + step < len && ((unsigned char)text[i + step] & 0xc0) == 0x80)
            step++;
        at += utf16_length(text + i, step);
        i += step;
    }
    return at == index ? (long)i : -1;
}

/* Replaces `len` bytes at `at`; false when the text grows too long. */
static bool splice(char **text_p, size_t at, size_t len, const char *with)
{
    size_t total = strlen(*text_p), more = strlen(with);
    if (total - len + more > TEXT_MAX)
        return false;
    char *text = mem_alloc(total - len + more + 1);
    memcpy(text, *text_p, at);
    memcpy(text + at, with, more);
    memcpy(text + at + more, *text_p + at + len, total - at - len);
    free(*text_p);
    *text_p = text;
    return true;
}

static const char *insert_text(char **text_p, const json_t *request)
{
    const char *what = js_str(request, "text", "");
    const json_t *location = json_object_get(request, "location");
    size_t len = strlen(*text_p);
    long at = location ? byte_at(*text_p, js_int(location, "index", -1))
                       : (long)(len && (*text_p)[len - 1] == '\n' ? len - 1 : len);
    /* An empty document still holds the line break that ends its one paragraph. */
    if (at < 0 || (location && len && at == (long)len))
        return "Index must be inside the bounds of an existing paragraph.";
    return splice(text_p, (size_t)at, 0, what) ? NULL : "The document is too long.";
}

static const char *delete_range(char **text_p, const json_t *request)
{
    const json_t *range = json_object_get(request, "range");
    long start = byte_at(*text_p, js_int(range, "startIndex", -1));
    long end = byte_at(*text_p, js_int(range, "endIndex", -1));
    if (start < 0 || end < 0 || start >= end)
        return "The range must not be empty and must lie inside the document.";
    if (end == (long)strlen(*text_p))
        return "The range cannot include the newline character at the end of the segment.";
    return splice(text_p, (size_t)start, (size_t)(end - start), "") ? NULL : "Too long.";
}

static const char *replace_all(char **text_p, const json_t *request, json_t *reply)
{
    const json_t *contains = json_object_get(request, "containsText");
    const char *what = js_str(contains, "text", ""), *with = js_str(request, "replaceText", "");
    bool exact = js_bool(contains, "matchCase", false);
    int64_t count = 0;
    if (!*what)
        return "The text to find must not be empty.";
    struct buf out;
    buf_init(&out, TEXT_MAX);
    const char *at = *text_p;
    for (const char *found; (found = exact ? strstr(at, what) : strcasestr(at, what)); count++) {
        buf_add(&out, at, (size_t)(found - at));
        buf_add_str(&out, with);
        at = found + strlen(what);
    }
    buf_add_str(&out, at);
    if (buf_check(&out)) {
        buf_fini(&out);
        return "The document is too long.";
    }
    free(*text_p);
    *text_p = buf_steal(&out);
    json_object_set_new(reply, "replaceAllText",
                        json_pack("{s:I}", "occurrencesChanged", (json_int_t)count));
    return NULL;
}

/* What changes how a text looks changes nothing here. */
static const char *const STYLES[] = {"updateTextStyle", "updateParagraphStyle",
                                     "updateDocumentStyle", "createParagraphBullets",
                                     "deleteParagraphBullets"};

static const char *apply(char **text_p, const json_t *request, json_t *reply)
{
    const json_t *what;
    if ((what = json_object_get(request, "insertText")))
        return insert_text(text_p, what);
    if ((what = json_object_get(request, "deleteContentRange")))
        return delete_range(text_p, what);
    if ((what = json_object_get(request, "replaceAllText")))
        return replace_all(text_p, what, reply);
    for (size_t i = 0; i < sizeof(STYLES) / sizeof(STYLES[0]); i++)
        if (json_object_get(request, STYLES[i]))
            return NULL;
    return "The sandbox does not know this request.";
}

enum err docs_edit(const char *text, const json_t *requests, char **ret_text, json_t **ret_replies,
                   char ret_why[DOCS_WHY_SIZE])
{
    size_t i;
    const json_t *request;
    const char *why = NULL;
    char *edited = mem_strdup(text);
    json_t *replies = json_array();
    if (json_array_size(requests) == 0 || json_array_size(requests) > REQUESTS_MAX)
        why = "Must specify at least one request, and at most 500.";
    json_array_foreach(requests, i, request)
    {
        json_t *reply = json_object();
        json_array_append_new(replies, reply);
        if (!why)
            why = apply(&edited, request, reply);
        if (why) {
            snprintf(ret_why, DOCS_WHY_SIZE, "Invalid requests[%zu]: %s", i, why);
            break;
        }
    }
    if (!why) {
        *ret_text = edited;
        *ret_replies = replies;
        return ERR_OK;
    }
    if (json_array_size(requests) == 0 || json_array_size(requests) > REQUESTS_MAX)
        snprintf(ret_why, DOCS_WHY_SIZE, "%s", why);
    free(edited);
    json_decref(replies);
    return ERR_INVALID;
}
