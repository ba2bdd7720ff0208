#include "services/monitor/login.h"

#include <stdio.h>

enum err login_start(struct service *service, struct login **ret_login)
{
    (void)service;
    *ret_login = NULL;
    return ERR_OK;
}

void login_destroy(struct login **login_p)
{
    *login_p = NULL;
}

bool login_serves(struct login *login, struct http_server *http, struct http_request *request)
{
    (void)login;
    (void)http;
    (void)request;
    return false;
}

bool login_allows(struct login *login, struct http_request *request, struct login_identity *ret_who)
{
    (void)login;
    (void)request;
    if (ret_who) {
        *ret_who = (struct login_identity){.how = "token"};
        snprintf(ret_who->name, sizeof ret_who->name, "token");
    }
    return true;
}

void login_decorate(const struct login *login, const struct http_request *request,
                    struct http_response *response)
{
    (void)login;
    (void)request;
    http_response_header(response, "Cache-Control", "no-store");
}
