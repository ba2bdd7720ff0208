/* GET /openapi.json and the interactive documentation: all of it from this program. */
#include "services/gateway/gateway.h"

#include "services/gateway/assets.h"

#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "      \
    "frame-ancestors 'none'"

static void answer(struct call *call, const char *type, const char *data, size_t len)
{
    static const struct http_header headers[] = {{"Cache-Control", "max-age=300"},
                                                 {"Content-Security-Policy", POLICY},
                                                 {"Referrer-Policy", "no-referrer"},
                                                 {0}};
    http_respond_static(call_request(call), 200, type, data, len, headers);
}

void route_openapi(struct call *call)
{
    answer(call, "application/json", asset_openapi, ASSET_LEN(openapi));
}

void route_docs(struct call *call)
{
    answer(call, "text/html; charset=utf-8", asset_docs, ASSET_LEN(docs));
}

void route_docs_init(struct call *call)
{
    answer(call, "text/javascript; charset=utf-8", asset_docs_init, ASSET_LEN(docs_init));
}

void route_docs_css(struct call *call)
{
    answer(call, "text/css; charset=utf-8", asset_docs_css, ASSET_LEN(docs_css));
}

void route_docs_bundle(struct call *call)
{
    answer(call, "text/javascript; charset=utf-8", asset_docs_bundle, ASSET_LEN(docs_bundle));
}
