/* Files of web pages that are built into a program (CMake's mcpbus_web makes the table), served
 * with an ETag and, to whom understands it, compressed. Loop's thread only. */
#ifndef MCPBUS_HTTP_ASSETS_H
#define MCPBUS_HTTP_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/http_server.h"

struct http_asset {
    const char *path; /* of the URL: "/docs/init.js"; an index.html has its folder's, "/docs" */
    const char *type; /* "text/javascript; charset=utf-8" */
    const char *etag; /* with its quotes */
    const char *data, *data_end;
    const char *gzip, *gzip_end; /* the same compressed; empty: not worth it */
};

struct http_assets {
    const struct http_asset *items;
    size_t count;
};

/* This program's files. Defined by the build, in programs that have some. */
extern const struct http_assets web_assets;

/* The file of a path, or NULL. */
const struct http_asset *http_assets_find(const struct http_assets *assets, const char *path);

/* Answers a GET or HEAD with the file of the request's path, or with 304 when the client has it
 * already; false, unanswered, when there is no such file. The browser asks each time whether it has
 * changed, so that files of two versions never meet. At most 12 further headers; NULL: none. */
bool http_assets_serve(const struct http_assets *assets, struct http_request *request,
                       const struct http_header *headers);

#endif
