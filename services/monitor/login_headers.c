#include "services/monitor/login_internal.h"

/* No page of ours needs more than our own files. */
#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "      \
    "frame-ancestors 'none'"

/* The referrer goes to our own pages: without it a browser sends our own forms with the Origin
 * "null", as it does those of a page of nowhere. */
static const struct http_header headers[] = {
    {"Content-Security-Policy", POLICY},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

void login_decorate(const struct login *login, const struct http_request *request,
                    struct http_response *response)
{
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
        if (!http_response_has(response, headers[i].name))
            http_response_header(response, headers[i].name, headers[i].value);
    if (login && login_came_by_tls(login, request))
        http_response_header(response, "Strict-Transport-Security", "max-age=31536000");
}
