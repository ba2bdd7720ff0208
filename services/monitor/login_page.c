#include "services/monitor/login_page.h"

#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/form.h"

enum { PAGE_MAX = 64 * 1024 };

#define ICON                                                                                        \
    "data:image/svg+xml,%%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%%3E%%3Crect" \
    " width='16' height='16' rx='4' fill='%%231f57c8'/%%3E%%3Cpath d='M3 8h10M5 5v6M8 4v8M11 5v6'"  \
    " stroke='white' stroke-width='1.5' stroke-linecap='round'/%%3E%%3C/svg%%3E"

/* `head`: further elements of the head, as they are. */
static void begin(struct buf *page, const char *title, const char *head)
{
    buf_init(page, PAGE_MAX);
    buf_printf(page,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "%s<title>%s · mcpbus</title>\n"
               "<link rel=\"icon\" href=\"" ICON "\">\n"
               "<script src=\"/style/theme.js\"></script>\n"
               "<link rel=\"stylesheet\" href=\"/style/base.css\">\n"
               "<link rel=\"stylesheet\" href=\"/style/login.css\">\n"
               "</head>\n<body>\n<main class=\"card\">\n"
               "<div>\n<p class=\"brand\">mcpbus</p>\n<h1>%s</h1>\n</div>\n",
               head, title, title);
}

static char *finish(struct buf *page)
{
    buf_add_str(page, "</main>\n</body>\n</html>\n");
    return buf_steal(page);
}

/* A fault is read out at once by screen readers. */
static void add_notice(struct buf *page, const char *kind, const char *role, const char *text)
{
    buf_printf(page, "<p class=\"notice %s\" role=\"%s\" id=\"message\">", kind, role);
    html_escape(page, text);
    buf_add_str(page, "</p>\n");
}

static void add_token_form(struct buf *page, bool wrong)
{
    /* The user name, the same for all, is for password managers. */
    buf_printf(page,
               "<form method=\"post\" action=\"/login\">\n"
               "<input type=\"text\" name=\"username\" value=\"monitor\" autocomplete=\"username\" "
               "hidden>\n"
               "<div class=\"field\">\n<label for=\"token\">Token</label>\n"
               "<input type=\"password\" id=\"token\" name=\"token\" required maxlength=\"512\" "
               "autocomplete=\"current-password\" autocapitalize=\"none\" spellcheck=\"false\" "
               "aria-describedby=\"hint%s\"%s autofocus>\n"
               "<p class=\"hint\" id=\"hint\">It is the monitor's <code>MONITOR_TOKEN</code>. "
               "After <code>./dev up</code>:<br>"
               "<code class=\"nowrap\">. .run/env; echo $MONITOR_TOKEN</code></p>\n</div>\n"
               "<button class=\"primary wide\">Sign in</button>\n</form>\n",
               wrong ? " message" : "", wrong ? " aria-invalid=\"true\"" : "");
}

char *login_page_form(const struct login_page *page)
{
    struct buf text;
    begin(&text, "Sign in to the dashboard", "");
    if (page->fault)
        add_notice(&text, "bad", "alert", page->fault);
    else if (page->notice)
        add_notice(&text, "good", "status", page->notice);
    if (page->by_token)
        add_token_form(&text, page->fault != NULL);
    if (page->by_token && page->by_google)
        buf_add_str(&text, "<p class=\"or\">or</p>\n");
    if (page->by_google)
        buf_add_str(&text, "<a class=\"button wide\" id=\"google\" href=\"/login/google\">"
                           "Sign in with Google</a>\n");
    return finish(&text);
}

char *login_page_fault(const char *title, const char *text)
{
    struct buf page;
    begin(&page, title, "");
    add_notice(&page, "bad", "alert", text);
    buf_add_str(&page, "<a class=\"button wide\" href=\"/login\">Back to the sign-in</a>\n");
    return finish(&page);
}

char *login_page_go_on(void)
{
    struct buf page;
    begin(&page, "One moment", "<meta http-equiv=\"refresh\" content=\"0; url=/\">\n");
    buf_add_str(&page, "<a class=\"button primary wide\" href=\"/\">Go on to the dashboard</a>\n");
    return finish(&page);
}
