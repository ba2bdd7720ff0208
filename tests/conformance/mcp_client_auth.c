#include "tests/conformance/mcp_client_auth.h"

#include "libcommon/js.h"
#include "tests/conformance/sign_in.h"

static struct sign_in *sign_in;
static struct mcp_oauth_grant grant;

/* A client whose credentials are its own, with no person behind it, is what a worker can be. */
static json_t *credentials(const json_t *context)
{
    const char *id = js_str(context, "client_id", "");
    const char *pem = js_str(context, "private_key_pem", NULL);
    const char *secret = js_str(context, "client_secret", NULL);
    if (pem)
        return json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "client_id", id,
                         "private_key", pem);
    if (!secret || json_object_get(context, "issuer") || json_object_get(context, "idp_id_token"))
        return NULL;
    return json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "client_id", id,
                     "client_secret", secret);
}

const struct mcp_oauth_grant *mcp_client_auth(struct loop *loop,
                                              struct http_client *(*http)(void *arg), void *arg,
                                              const json_t *context, json_t *spec)
{
    json_t *auth = credentials(context);
    (void)loop;
    if (auth) {
        json_object_set_new(spec, "auth", auth);
        return NULL;
    }
    sign_in = sign_in_new(http(arg), js_str(spec, "url", ""), context);
    grant = sign_in_grant(sign_in);
    return &grant;
}

void mcp_client_auth_end(void)
{
    sign_in_destroy(&sign_in);
}
