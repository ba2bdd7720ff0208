#include "libcommon/http_assets.h"

#include <string.h>
#include <strings.h>

enum { HEADERS_MAX = 16 };

const struct http_asset *http_assets_find(const struct http_assets *assets, const char *path)
{
    for (size_t i = 0; i < assets->count; i++)
        if (strcmp(assets->items[i].path, path) == 0)
            return &assets->items[i];
    return NULL;
}

/* RFC 9110 §12.5.3, as far as browsers use it: "gzip" in the list, and not with a weight of 0. */
static bool takes_gzip(const struct http_request *request)
{
    const char *accepted = http_request_header(request, "Accept-Encoding");
    const char *found = accepted ? strcasestr(accepted, "gzip") : NULL;
    return found && strncmp(found + 4, ";q=0", 4) != 0;
}

/* RFC 9110 §13.1.2: a list of tags, any of them weak, or "*". */
static bool is_known(const struct http_request *request, const struct http_asset *asset)
{
    const char *known = http_request_header(request, "If-None-Match");
    return known && (strcmp(known, "*") == 0 || strstr(known, asset->etag));
}

static void answer(struct http_request *request, const struct http_asset *asset,
                   struct http_header *headers, size_t count)
{
    bool gzip = asset->gzip < asset->gzip_end && takes_gzip(request);
    const char *data = gzip ? asset->gzip : asset->data;
    const char *end = gzip ? asset->gzip_end : asset->data_end;
    if (gzip)
        headers[count] = (struct http_header){"Content-Encoding", "gzip"};
    http_respond_static(request, 200, asset->type, data, (size_t)(end - data), headers);
}

bool http_assets_serve(const struct http_assets *assets, struct http_request *request,
                       const struct http_header *headers)
{
    const struct http_asset *asset = http_assets_find(assets, http_request_path(request));
    if (!asset)
        return false;
    struct http_header all[HEADERS_MAX] = {
        {"Cache-Control", "no-cache"}, {"ETag", asset->etag}, {"Vary", "Accept-Encoding"}};
    size_t count = 3;
    for (; headers && headers->name && count < HEADERS_MAX - 2; headers++)
        all[count++] = *headers;
    if (is_known(request, asset))
        http_respond(request, 304, NULL, "", 0, all);
    else
        answer(request, asset, all, count);
    return true;
}
