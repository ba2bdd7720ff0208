#include "services/gateway/gateway.h"

#include <string.h>

#include "libcommon/buf.h"

enum { PAGE_MAX = 256 * 1024 };

static void add_escaped(struct buf *page, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_add_str(page, "&amp;");
            break;
        case '<':
            buf_add_str(page, "&lt;");
            break;
        case '>':
            buf_add_str(page, "&gt;");
            break;
        case '"':
            buf_add_str(page, "&quot;");
            break;
        case '\'':
            buf_add_str(page, "&#39;");
            break;
        default:
            buf_add_char(page, *text);
        }
    }
}

static void begin(struct buf *page, const char *title, const char *nonce)
{
    buf_init(page, PAGE_MAX);
    buf_printf(page,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<title>%s</title>\n<style nonce=\"%s\">\n"
               "body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; "
               "padding: 0 1rem; color: #1c2330; background: #f6f7f9; }\n"
               "main { background: #fff; border: 1px solid #d9dee6; border-radius: 8px; "
               "padding: 1.5rem 2rem; }\n"
               "h1 { font-size: 1.4rem; margin-top: 0; }\n"
               "dt { font-weight: 600; margin-top: .75rem; }\ndd { margin: 0; "
               "overflow-wrap: anywhere; }\n"
               "textarea { box-sizing: border-box; width: 100%%; height: 9rem; font: 13px/1.4 "
               "ui-monospace, monospace; }\n"
               "</style>\n</head>\n<body>\n<main>\n<h1>%s</h1>\n",
               title, nonce, title);
}

/* `chat`: the chat page may have begun this sign-in; its script finds out. */
static char *finish(struct buf *page, bool chat)
{
    if (chat)
        buf_add_str(page, "<script type=\"module\" src=\"/app/callback.js\"></script>\n");
    buf_add_str(page, "</main>\n</body>\n</html>\n");
    return buf_steal(page);
}

static void add_field(struct buf *page, const char *id, const char *label, const char *value)
{
    buf_printf(page, "<dt>%s</dt>\n<dd id=\"%s\">", label, id);
    add_escaped(page, value);
    buf_add_str(page, "</dd>\n");
}

static void add_scopes(struct buf *page, const json_t *scopes)
{
    size_t i;
    json_t *scope;
    buf_add_str(page, "<dt>Scopes</dt>\n<dd id=\"scopes\">\n<ul>\n");
    json_array_foreach(scopes, i, scope)
    {
        if (!json_is_string(scope))
            continue;
        buf_add_str(page, "<li>");
        add_escaped(page, json_string_value(scope));
        buf_add_str(page, "</li>\n");
    }
    buf_add_str(page, "</ul>\n</dd>\n");
}

char *callback_page(const json_t *login, const char *nonce, bool chat)
{
    struct buf page;
    const json_t *user = json_object_get(login, "user");
    begin(&page, "You are signed in", nonce);
    buf_add_str(&page, "<p>This is your token. Send it with each call as "
                       "<code>Authorization: Bearer TOKEN</code>; it is good for 24 hours.</p>\n"
                       "<label for=\"token\">Token</label>\n"
                       "<textarea id=\"token\" readonly spellcheck=\"false\">");
    add_escaped(&page, js_str(login, "access_token", ""));
    buf_add_str(&page, "</textarea>\n<dl>\n");
    add_field(&page, "user-id", "User id", js_str(user, "id", ""));
    add_field(&page, "email", "Email", js_str(user, "email", ""));
    add_scopes(&page, json_object_get(login, "scopes"));
    buf_add_str(&page, "</dl>\n");
    return finish(&page, chat);
}

char *callback_error_page(const char *detail, const char *nonce, bool chat)
{
    struct buf page;
    begin(&page, "The sign-in failed", nonce);
    buf_add_str(&page, "<p id=\"detail\">");
    add_escaped(&page, detail);
    buf_add_str(&page, "</p>\n<p>Begin again with POST /auth/scopes.</p>\n");
    return finish(&page, chat);
}
