#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"
#include "libmcp/mcp_oauth_internal.h"

enum { TEXT_MAX = 64 << 10 };

__attribute__((format(printf, 2, 3))) static enum err refuse(char *ret_why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret_why, MCP_OAUTH_WHY_SIZE, fmt, args);
    va_end(args);
    return ERR_INVALID;
}

static enum err check_names(const json_t *auth, char *ret_why)
{
    static const char *const known[] = {"type",  "client_id", "client_secret", "private_key",
                                        "scope", "issuer",    "token_url"};
    const char *name;
    json_t *value;
    if (!json_is_object(auth))
        return refuse(ret_why, "auth is an object");
    json_object_foreach((json_t *)auth, name, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], name) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return refuse(ret_why, "auth has no \"%.60s\"", name);
        if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
            return refuse(ret_why, "auth's \"%s\" is a text", name);
    }
    return ERR_OK;
}

static enum err check_values(const json_t *auth, const char *server_url, char *ret_why)
{
    static const char *const urls[] = {"issuer", "token_url"};
    const char *scope = js_str(auth, "scope", NULL);
    if (strcmp(js_str(auth, "type", ""), "client_credentials") != 0)
        return refuse(ret_why, "auth's \"type\" is \"client_credentials\"");
    if (!js_str(auth, "client_id", "")[0])
        return refuse(ret_why, "auth needs a \"client_id\"");
    if (!js_str(auth, "client_secret", "")[0] == !js_str(auth, "private_key", "")[0])
        return refuse(ret_why, "auth needs either a \"client_secret\" or a \"private_key\"");
    if (scope && !mcp_scope_is_valid(scope))
        return refuse(ret_why, "auth's \"scope\" is names with a space between each two");
    if (!mcp_oauth_url_is_safe(server_url, server_url))
        return refuse(ret_why, "auth goes with an https url (http: loopback only)");
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        const char *url = js_str(auth, urls[i], NULL);
        /* Whoever names a place on loopback means it, whatever the server's own address. */
        if (url && !mcp_oauth_url_is_safe(url, url))
            return refuse(ret_why, "auth's \"%s\" is an https URL (http: loopback only)", urls[i]);
    }
    return ERR_OK;
}

enum err mcp_oauth_config_read(const json_t *auth, const char *server_url,
                               struct mcp_oauth_config *ret_config,
                               char ret_why[MCP_OAUTH_WHY_SIZE])
{
    struct mcp_oauth_config config = {0};
    enum err err = check_names(auth, ret_why);
    if (!err)
        err = check_values(auth, server_url, ret_why);
    if (err)
        return err;
    const char *pem = js_str(auth, "private_key", "");
    if (*pem && crypto_key_read(pem, &config.client.key) != ERR_OK)
        return refuse(ret_why, "auth's \"private_key\" is no PEM key (RSA of 2048 bits or more, "
                               "P-256, P-384 or Ed25519, without a passphrase)");
    config.client.id = mem_strdup(js_str(auth, "client_id", ""));
    config.client.secret = *pem ? NULL : mem_strdup(js_str(auth, "client_secret", ""));
    config.scope = mem_strdup_opt(js_str(auth, "scope", NULL));
    config.issuer = mem_strdup_opt(js_str(auth, "issuer", NULL));
    config.token_url = mem_strdup_opt(js_str(auth, "token_url", NULL));
    *ret_config = config;
    return ERR_OK;
}

void mcp_oauth_config_fini(struct mcp_oauth_config *config)
{
    mcp_oauth_client_fini(&config->client);
    free(config->scope);
    free(config->issuer);
    free(config->token_url);
    *config = (struct mcp_oauth_config){0};
}

enum err mcp_oauth_check(const json_t *auth, const char *server_url,
                         char ret_why[MCP_OAUTH_WHY_SIZE])
{
    struct mcp_oauth_config config = {0};
    enum err err = mcp_oauth_config_read(auth, server_url, &config, ret_why);
    mcp_oauth_config_fini(&config);
    return err;
}
