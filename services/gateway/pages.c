/* What browsers are shown (the interactive documentation, the chat page) and GET /openapi.json:
 * files of this program, nothing from elsewhere. */
#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/http_assets.h"

#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "      \
    "frame-ancestors 'none'"

void route_app(struct call *call)
{
    if (chat_page_on(call->gateway))
        route_page(call);
    else
        call_detail(call, 404, "Not Found");
}

bool chat_page_on(const struct gateway *gateway)
{
    return strcmp(gateway->settings->chat_page, "on") == 0;
}

void route_page(struct call *call)
{
    static const struct http_header headers[] = {
        {"Content-Security-Policy", POLICY}, {"Referrer-Policy", "no-referrer"}, {0}};
    if (!http_assets_serve(&web_assets, call_request(call), headers))
        call_detail(call, 404, "Not Found");
}
