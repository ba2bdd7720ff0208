/* Pages for people: what this is, and the consent page. */
#include <string.h>

#include "services/sandbox/errors.h"
#include "libcommon/form.h"
#include "services/sandbox/oauth.h"

enum { PAGE_MAX = 128 << 10, CSP_MAX = 4096 };

#define HEAD                                                                        \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta " \
    "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link "    \
    "rel=\"stylesheet\" href=\"/sandbox.css\">\n<title>"
#define BODY "</title>\n</head>\n<body>\n<main>\n"
#define FOOT                                                                                    \
    "<p class=\"note\">This is the mcpbus sandbox. It is for development only: accounts, data " \
    "and answers are invented. Never enter a real password or a secret here.</p>\n"             \
    "</main>\n</body>\n</html>\n"

static const char STYLE[] =
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1b1f24}\n"
    "main{max-width:34rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:.75rem;"
    "border:1px solid #d5d9de}\n"
    "h1{font-size:1.4rem;margin-top:0}\n"
    "fieldset{border:1px solid #d5d9de;border-radius:.5rem;margin:1rem 0}\n"
    "label{display:block;padding:.25rem 0}\n"
    "input[type=email]{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;"
    "border:1px solid #6b7280;border-radius:.4rem}\n"
    "button{font:inherit;padding:.55rem 1.4rem;border-radius:.4rem;border:1px solid #1a56db;"
    "background:#fff;color:#1a56db;cursor:pointer}\n"
    "button.main{background:#1a56db;color:#fff}\n"
    ":focus-visible{outline:3px solid #f59e0b;outline-offset:2px}\n"
    ".note{font-size:.9rem;color:#4b5563;border-top:1px solid #d5d9de;padding-top:1rem}\n"
    "code{overflow-wrap:anywhere}\n"
    "@media(prefers-color-scheme:dark){body{background:#111418;color:#e6e8eb}"
    "main{background:#1b1f24;border-color:#3a4149}.note{color:#aab1ba}"
    "input[type=email]{background:#111418;color:inherit}"
    "button{background:#1b1f24;color:#8ab4f8;border-color:#8ab4f8}"
    "button.main{background:#8ab4f8;color:#111418}}\n";

/* Sends a page. Browsers hold form-action against the redirect that follows a form too, so the
 * client's origin (`origin`, may be NULL) must be named. */
static void send_page(struct call *call, int status, struct buf *page, const char *origin,
                      size_t origin_len)
{
    struct buf csp;
    buf_init(&csp, CSP_MAX);
    buf_printf(&csp,
               "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
               "form-action 'self' %.*s",
               (int)origin_len, origin ? origin : "");
    const struct http_header headers[] = {{"Content-Security-Policy", buf_text(&csp)},
                                          {"X-Content-Type-Options", "nosniff"},
                                          {"Referrer-Policy", "no-referrer"},
                                          {"Cache-Control", "no-store"},
                                          {NULL, NULL}};
    http_respond(call->request, status, "text/html; charset=utf-8", buf_text(page), page->len,
                 headers);
    buf_fini(&csp);
    buf_fini(page);
}

static void hidden(struct buf *page, const char *name, const char *value)
{
    buf_printf(page, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    html_escape(page, value);
    buf_add_str(page, "\">\n");
}

static void scope_boxes(struct buf *page, uint32_t scopes)
{
    const uint32_t identity = SCOPE_OPENID | SCOPE_EMAIL | SCOPE_PROFILE;
    for (int i = 0; i < SCOPE_COUNT; i++) {
        uint32_t bit = UINT32_C(1) << i;
        if (!(scopes & bit))
            continue;
        if (bit & identity) {
            hidden(page, "scope", scope_infos[i].url);
            buf_printf(page, "<p>%s (always)</p>\n", scope_infos[i].text);
            continue;
        }
        buf_printf(page,
                   "<label><input type=\"checkbox\" name=\"scope\" value=\"%s\" checked> %s "
                   "<br><code>%s</code></label>\n",
                   scope_infos[i].url, scope_infos[i].text, scope_infos[i].url);
    }
}

void page_consent(struct call *call, const struct auth_request *request, const char *form)
{
    struct buf page;
    buf_init(&page, PAGE_MAX);
    buf_add_str(&page,
                HEAD "Sign in to the sandbox" BODY "<h1>Sign in to the sandbox</h1>\n<p><code>");
    html_escape(&page, request->client);
    buf_add_str(&page,
                "</code> asks for access to your invented account. You will return to <code>");
    html_escape(&page, request->redirect);
    buf_add_str(&page, "</code>.</p>\n<form method=\"post\" action=\"/o/oauth2/v2/consent\">\n");
    hidden(&page, "request", form);
    buf_add_str(&page, "<label for=\"email\">Email of an account, any will do</label>\n<input "
                       "id=\"email\" type=\"email\" name=\"email\" list=\"accounts\" required "
                       "autocomplete=\"off\" value=\"");
    html_escape(&page, request->hint ? request->hint : "ada@example.com");
    buf_add_str(&page, "\">\n<datalist id=\"accounts\"><option value=\"ada@example.com\"><option "
                       "value=\"grace@example.com\"></datalist>\n<fieldset>\n<legend>What it may "
                       "do</legend>\n");
    scope_boxes(&page, request->scopes);
    buf_add_str(&page,
                "</fieldset>\n<button class=\"main\" id=\"allow\" name=\"action\" value=\"allow\">"
                "Allow</button>\n<button id=\"deny\" name=\"action\" value=\"deny\" "
                "formnovalidate>Deny</button>\n</form>\n" FOOT);
    send_page(call, 200, &page, request->redirect, url_origin_len(request->redirect));
}

void page_error(struct call *call, int status, const char *error, const char *description)
{
    struct buf page;
    buf_init(&page, PAGE_MAX);
    buf_add_str(&page, HEAD "Access blocked" BODY "<h1>Access blocked</h1>\n<p>Error ");
    buf_printf(&page, "%d: <code>", status);
    html_escape(&page, error);
    buf_add_str(&page, "</code></p>\n<p>");
    html_escape(&page, description);
    buf_add_str(&page, "</p>\n" FOOT);
    send_page(call, status, &page, NULL, 0);
}

void page_index(struct call *call)
{
    struct buf page;
    buf_init(&page, PAGE_MAX);
    buf_add_str(&page,
                HEAD "mcpbus sandbox" BODY "<h1>mcpbus sandbox</h1>\n<p>It stands in for Google "
                     "and for OpenAI, over their real protocols:</p>\n<ul>\n"
                     "<li>OAuth: <code>/o/oauth2/v2/auth</code>, <code>/token</code>, "
                     "<code>/revoke</code>, <code>/v1/userinfo</code></li>\n"
                     "<li>Gmail, Drive, Docs, Calendar: <code>/gmail/v1</code>, "
                     "<code>/drive/v3</code>, <code>/upload/drive/v3</code>, "
                     "<code>/v1/documents</code>, <code>/calendar/v3</code></li>\n"
                     "<li>OpenAI: <code>/v1/chat/completions</code>, "
                     "<code>/v1/models</code></li>\n</ul>\n"
                     "<p>Any invented email may sign in, for example <code>ada@example.com</code> "
                     "or <code>grace@example.com</code>.</p>\n" FOOT);
    send_page(call, 200, &page, NULL, 0);
}

void page_style(struct call *call)
{
    reply_text(call, 200, "text/css; charset=utf-8", STYLE, sizeof(STYLE) - 1);
}

void page_health(struct call *call)
{
    reply_json(call, 200,
               json_pack("{s:s, s:s}", "status", "healthy", "note", "for development only"));
}
