#include "services/google/extract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/google/charset.h"
#include "services/google/files.h"
#include "services/google/html.h"

static const struct {
    enum extract_kind kind;
    const char *name, *mime_type;
} kinds[] = {
    {EXTRACT_PDF, "pdf", "application/pdf"},
    {EXTRACT_DOCX, "docx",
     "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {EXTRACT_HTML, "html", "text/html"},
    {EXTRACT_HTML, "htm", "application/xhtml+xml"},
    {EXTRACT_TEXT, "txt", "text/plain"},
    {EXTRACT_TEXT, "text", "text/plain"},
    {EXTRACT_TEXT, "csv", "text/csv"},
    {EXTRACT_TEXT, "tsv", "text/tab-separated-values"},
    {EXTRACT_TEXT, "md", "text/markdown"},
    {EXTRACT_TEXT, "json", "application/json"},
    {EXTRACT_TEXT, "xml", "application/xml"},
    {EXTRACT_TEXT, "yaml", "application/yaml"},
    {EXTRACT_TEXT, "log", "text/x-log"},
    {EXTRACT_TEXT, "ics", "text/calendar"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

enum extract_kind extract_kind_named(const char *name)
{
    name += *name == '.';
    size_t len = strcspn(name, "; ");
    for (size_t i = 0; i < KINDS; i++)
        if (strcasecmp(kinds[i].name, name) == 0 ||
            (strlen(kinds[i].mime_type) == len && strncasecmp(kinds[i].mime_type, name, len) == 0))
            return kinds[i].kind;
    return strncasecmp(name, "text/", 5) == 0 ? EXTRACT_TEXT : EXTRACT_NONE;
}

enum extract_kind extract_kind_of(const char *mime_type, const char *filename)
{
    enum extract_kind kind = extract_kind_named(mime_type);
    const char *dot = strrchr(filename, '.');
    bool vague = kind == EXTRACT_NONE || kind == EXTRACT_TEXT;
    enum extract_kind by_name = vague && dot ? extract_kind_named(dot) : EXTRACT_NONE;
    bool unknown = !*mime_type || strncasecmp(mime_type, "application/", 12) == 0;
    return kind == EXTRACT_NONE ? (unknown ? by_name : kind) : kind;
}

const char *extract_kind_name(enum extract_kind kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "";
}

static enum err say(enum err err, char *ret_why)
{
    const char *words = err == ERR_INVALID     ? "it is damaged, or not a file of that kind"
                        : err == ERR_DENIED    ? "it is protected by a password"
                        : err == ERR_TOO_LARGE ? "it is too large to be read"
                        : err == ERR_TIMEOUT   ? "it takes too long to read"
                        : err == ERR_CANCELLED ? "it was cancelled"
                                               : "the reader failed on it";
    if (err)
        snprintf(ret_why, EXTRACT_WHY_SIZE, "%s", words);
    return err;
}

enum err extract_plain(const void *data, size_t len, bool html, struct buf *out)
{
    size_t text_len = 0;
    char *text = charset_to_utf8(data, len, NULL, &text_len);
    if (html) {
        html_to_text(text, text_len, out);
    } else {
        size_t room = out->max - out->len;
        buf_add(out, text, text_len < room ? text_len : room);
        out->full = out->full || text_len > room;
    }
    free(text);
    return ERR_OK;
}

enum err extract_text(struct api *api, enum extract_kind kind, const void *data, size_t len,
                      struct buf *out, char ret_why[EXTRACT_WHY_SIZE])
{
    switch (kind) {
    case EXTRACT_PDF:
    case EXTRACT_DOCX:
        return say(files_run(api, extract_kind_name(kind), data, len, out), ret_why);
    case EXTRACT_TEXT:
    case EXTRACT_HTML:
        return len > FILES_INPUT_MAX ? say(ERR_TOO_LARGE, ret_why)
                                     : extract_plain(data, len, kind == EXTRACT_HTML, out);
    case EXTRACT_NONE:
        break;
    }
    return say(ERR_INVALID, ret_why);
}
