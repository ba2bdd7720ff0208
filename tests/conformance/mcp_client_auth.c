#include "tests/conformance/mcp_client_auth.h"

const struct mcp_oauth_grant *mcp_client_auth(struct loop *loop,
                                              struct http_client *(*http)(void *arg), void *arg,
                                              const json_t *context, json_t *spec)
{
    (void)loop, (void)http, (void)arg, (void)context, (void)spec;
    return NULL;
}

void mcp_client_auth_end(void)
{
}
