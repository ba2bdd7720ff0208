/* The sign-in page and its form, and the way out. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libcommon/form.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/monitor/login_internal.h"

static void answer_with(struct http_request *request, int status, char *page, const char *name,
                        const char *value)
{
    struct http_header headers[] = {{value ? name : NULL, value}, {0}};
    http_respond(request, status, "text/html; charset=utf-8", page, strlen(page), headers);
    free(page);
}

void login_answer_page(struct http_request *request, int status, char *page, const char *cookie)
{
    answer_with(request, status, page, "Set-Cookie", cookie);
}

static char *make_form(const struct login *login, const char *fault, const char *notice)
{
    const struct login_page page = {.by_token = login->mac_count > 0,
                                    .by_google = login->settings->monitor_admins != NULL,
                                    .fault = fault,
                                    .notice = notice};
    return login_page_form(&page);
}

static void go_to(struct http_request *request, const char *path, const char *cookie)
{
    struct http_header headers[] = {
        {"Location", path}, {cookie ? "Set-Cookie" : NULL, cookie}, {0}};
    http_respond(request, 303, NULL, NULL, 0, headers);
}

void login_make_cookie(struct login *login, const struct http_request *request, const char *name,
                       const char *how, char ret_cookie[LOGIN_COOKIE_SIZE])
{
    struct ticket ticket = {.expires_at = time(NULL) + TICKET_LIFE_S};
    char cookie_name[TICKET_COOKIE_SIZE], network[CLIENT_ADDRESS_SIZE];
    char address[CLIENT_ADDRESS_SIZE];
    bool tls = login_client(login, request, network, address);
    snprintf(ticket.name, sizeof(ticket.name), "%s", name);
    snprintf(ticket.how, sizeof(ticket.how), "%s", how);
    ticket_cookie_name(&login->keys, 0, cookie_name);
    AUTOFREE char *sealed = ticket_seal(&login->keys, &ticket);
    snprintf(ret_cookie, LOGIN_COOKIE_SIZE,
             "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", cookie_name, sealed,
             TICKET_LIFE_S, tls ? "; Secure" : "");
    log_info("login", LOG_S("name", name), LOG_S("how", how), LOG_S("client", address),
             LOG_S("request_id", http_request_trace(request)));
}

void login_show(struct login *login, struct http_server *http, struct http_request *request)
{
    (void)http;
    struct ticket ticket;
    const char *notice = http_request_query(request, "out") ? "You are signed out." : NULL;
    if (login_open_cookie(login, request, &ticket))
        go_to(request, "/", NULL);
    else
        login_answer_page(request, 200, make_form(login, NULL, notice), NULL);
}

static bool is_json(const struct http_request *request)
{
    const char *type = http_request_header(request, "Content-Type");
    return type && strncasecmp(type, "application/json", strlen("application/json")) == 0;
}

/* The token of a form or of JSON; NULL: there is none. mem_free_secret() it. */
static char *read_token(const struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    AUTOJSON json_t *value = NULL;
    if (!is_json(request))
        return form_value(body, len, "token", 0);
    if (js_parse(body, len, &value, NULL))
        return NULL;
    return mem_strdup_opt(js_str(value, "token", NULL));
}

static void answer_json(struct http_request *request, int status, const char *text,
                        const char *cookie)
{
    struct http_header headers[] = {{cookie ? "Set-Cookie" : NULL, cookie}, {0}};
    http_respond(request, status, "application/json", text, strlen(text), headers);
}

static void answer_right(struct login *login, struct http_request *request)
{
    char cookie[LOGIN_COOKIE_SIZE];
    login_make_cookie(login, request, "token", "token", cookie);
    if (is_json(request))
        answer_json(request, 200, "{\"name\":\"token\",\"how\":\"token\"}", cookie);
    else
        go_to(request, "/", cookie);
}

static void answer_wrong(struct login *login, struct http_request *request)
{
    if (is_json(request))
        answer_json(request, 401, "{\"detail\":\"That is not the token\"}", NULL);
    else
        login_answer_page(request, 401, make_form(login, "That is not the token.", NULL), NULL);
}

static void answer_limited(struct login *login, struct http_request *request, int64_t wait_ms)
{
    char text[128], seconds[24];
    if (is_json(request)) {
        login_answer_busy(request, wait_ms);
        return;
    }
    snprintf(seconds, sizeof(seconds), "%lld", (long long)((wait_ms + 999) / 1000));
    snprintf(text, sizeof(text), "Too many failed sign-ins. Try again in %s seconds.", seconds);
    answer_with(request, 429, make_form(login, text, NULL), "Retry-After", seconds);
}

/* People copy a token with the line's end behind it. */
static void trim(char *text)
{
    size_t begin = strspn(text, " \t\r\n"), len = strlen(text);
    while (len > begin && strchr(" \t\r\n", text[len - 1]))
        len--;
    memmove(text, text + begin, len - begin);
    text[len - begin] = '\0';
}

void login_submit(struct login *login, struct http_server *http, struct http_request *request)
{
    (void)http;
    int64_t wait_ms = 0;
    if (!login_comes_from_us(login, request)) {
        login_answer_page(request, 403,
                          login_page_fault("This came from another page",
                                           "The sign-in is for the dashboard's own page alone."),
                          NULL);
        return;
    }
    char *token = read_token(request);
    if (token)
        trim(token);
    enum verdict verdict =
        token && *token ? login_try(login, request, token, &wait_ms) : VERDICT_WRONG;
    mem_free_secret(&token);
    if (verdict == VERDICT_RIGHT)
        answer_right(login, request);
    else if (verdict == VERDICT_LIMITED)
        answer_limited(login, request, wait_ms);
    else
        answer_wrong(login, request);
}

/* For each key, as the cookie may be under either's name. */
static size_t forget(struct login *login, const struct http_request *request,
                     struct http_header *headers, char cookies[][LOGIN_COOKIE_SIZE])
{
    char name[TICKET_COOKIE_SIZE];
    for (size_t i = 0; i < login->keys.count; i++) {
        ticket_cookie_name(&login->keys, i, name);
        snprintf(cookies[i], LOGIN_COOKIE_SIZE,
                 "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s", name,
                 login_came_by_tls(login, request) ? "; Secure" : "");
        headers[i] = (struct http_header){"Set-Cookie", cookies[i]};
    }
    return login->keys.count;
}

void login_leave(struct login *login, struct http_server *http, struct http_request *request)
{
    (void)http;
    static const char done[] = "{\"message\":\"You are signed out\"}";
    struct http_header headers[4] = {{0}};
    char cookies[2][LOGIN_COOKIE_SIZE];
    const char *accept = http_request_header(request, "Accept");
    bool page = accept && strstr(accept, "text/html");
    if (!login_comes_from_us(login, request)) {
        answer_json(request, 403, "{\"detail\":\"Not from a page of the dashboard\"}", NULL);
        return;
    }
    size_t count = forget(login, request, headers, cookies);
    if (page) {
        headers[count] = (struct http_header){"Location", "/login?out=1"};
        http_respond(request, 303, NULL, NULL, 0, headers);
    } else {
        http_respond(request, 200, "application/json", done, strlen(done), headers);
    }
}
