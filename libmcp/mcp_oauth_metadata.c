#include "libmcp/mcp_oauth_metadata.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"

enum { LIST_MAX = 256 };

static const char resource_path[] = "/.well-known/oauth-protected-resource";
static const char oauth_path[] = "/.well-known/oauth-authorization-server";
static const char openid_path[] = "/.well-known/openid-configuration";

__attribute__((format(printf, 2, 3))) static enum err refuse(char *ret_why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret_why, MCP_OAUTH_WHY_SIZE, fmt, args);
    va_end(args);
    return ERR_INVALID;
}

/* Its path without the slash at the end; "" for the root. */
static void trim_path(struct http_url *url)
{
    size_t len = strlen(url->path);
    while (len && url->path[len - 1] == '/')
        url->path[--len] = '\0';
}

int mcp_oauth_resource_urls(const char *server_url, char *ret_urls[MCP_OAUTH_URLS])
{
    struct http_url url;
    int count = 0;
    if (http_url_parse(server_url, &url) != ERR_OK)
        return 0;
    trim_path(&url);
    if (url.path[0])
        ret_urls[count++] = mem_printf("%s%s%s", url.origin, resource_path, url.path);
    ret_urls[count++] = mem_printf("%s%s", url.origin, resource_path);
    return count;
}

int mcp_oauth_issuer_urls(const char *issuer, char *ret_urls[MCP_OAUTH_URLS])
{
    struct http_url url;
    int count = 0;
    if (http_url_parse(issuer, &url) != ERR_OK)
        return 0;
    trim_path(&url);
    ret_urls[count++] = mem_printf("%s%s%s", url.origin, oauth_path, url.path);
    ret_urls[count++] = mem_printf("%s%s%s", url.origin, openid_path, url.path);
    if (url.path[0])
        ret_urls[count++] = mem_printf("%s%s%s", url.origin, url.path, openid_path);
    return count;
}

bool mcp_oauth_url_is_safe(const char *server_url, const char *url)
{
    struct http_url server, parts;
    if (http_url_parse(url, &parts) != ERR_OK || parts.has_fragment)
        return false;
    if (http_url_parse(server_url, &server) != ERR_OK)
        return false;
    return parts.loopback ? server.loopback : parts.https;
}

bool mcp_oauth_same_origin(const char *a, const char *b)
{
    struct http_url first, second;
    return http_url_parse(a, &first) == ERR_OK && http_url_parse(b, &second) == ERR_OK &&
           strcmp(first.origin, second.origin) == 0;
}

/* Is the server at, or below, what the document calls the resource? */
static bool covers(const char *resource, const char *server_url)
{
    struct http_url above, server;
    if (http_url_parse(resource, &above) != ERR_OK ||
        http_url_parse(server_url, &server) != ERR_OK || above.has_fragment ||
        strcmp(above.origin, server.origin) != 0)
        return false;
    if (above.query[0] && strcmp(above.query, server.query) != 0)
        return false;
    trim_path(&above);
    size_t len = strlen(above.path);
    return strncmp(above.path, server.path, len) == 0 &&
           (server.path[len] == '/' || !server.path[len]);
}

/* A list of texts, or absent. */
static bool is_list(const json_t *document, const char *key)
{
    const json_t *list = json_object_get(document, key), *item;
    size_t index;
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
        return false;
    json_array_foreach(list, index, item) if (!json_is_string(item)) return false;
    return true;
}

static enum err read_object(const char *text, size_t len, const char *what, json_t **ret_document,
                            char *ret_why)
{
    json_t *document = NULL;
    if (len > MCP_OAUTH_DOCUMENT_MAX || js_parse(text, len, &document, NULL) != ERR_OK ||
        !json_is_object(document)) {
        json_decref(document);
        return refuse(ret_why, "the %s is not a JSON object", what);
    }
    *ret_document = document;
    return ERR_OK;
}

enum err mcp_oauth_read_resource(const char *text, size_t len, const char *server_url,
                                 json_t **ret_document, char *ret_why)
{
    AUTOJSON json_t *document = NULL;
    enum err err = read_object(text, len, "protected resource metadata", &document, ret_why);
    if (err)
        return err;
    if (!covers(js_str(document, "resource", ""), server_url))
        return refuse(ret_why, "the protected resource metadata is of another server");
    if (!is_list(document, "authorization_servers") || !is_list(document, "scopes_supported") ||
        json_array_size(json_object_get(document, "authorization_servers")) == 0)
        return refuse(ret_why, "the protected resource metadata names no authorization server");
    *ret_document = json_incref(document);
    return ERR_OK;
}

enum err mcp_oauth_read_issuer(const char *text, size_t len, const char *issuer,
                               const char *server_url, json_t **ret_document, char *ret_why)
{
    static const char *const endpoints[] = {"token_endpoint", "authorization_endpoint",
                                            "registration_endpoint"};
    static const char *const lists[] = {"scopes_supported", "token_endpoint_auth_methods_supported",
                                        "code_challenge_methods_supported",
                                        "dpop_signing_alg_values_supported",
                                        "grant_types_supported"};
    AUTOJSON json_t *document = NULL;
    enum err err = read_object(text, len, "authorization server's metadata", &document, ret_why);
    if (err)
        return err;
    if (strcmp(js_str(document, "issuer", ""), issuer) != 0)
        return refuse(ret_why, "the authorization server's metadata is of another issuer");
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        const json_t *url = json_object_get(document, endpoints[i]);
        if (url &&
            (!json_is_string(url) || !mcp_oauth_url_is_safe(server_url, json_string_value(url))))
            return refuse(ret_why, "the authorization server's %s is no safe URL", endpoints[i]);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!is_list(document, lists[i]))
            return refuse(ret_why, "the authorization server's %s is no list of texts", lists[i]);
    if (!json_object_get(document, "token_endpoint"))
        return refuse(ret_why, "the authorization server has no token endpoint");
    *ret_document = json_incref(document);
    return ERR_OK;
}

json_t *mcp_oauth_default_issuer(const char *server_url)
{
    struct http_url url;
    if (http_url_parse(server_url, &url) != ERR_OK)
        return NULL;
    AUTOFREE char *authorize = mem_printf("%s/authorize", url.origin);
    AUTOFREE char *token = mem_printf("%s/token", url.origin);
    AUTOFREE char *registration = mem_printf("%s/register", url.origin);
    return json_pack("{s:s, s:s, s:s, s:s, s:[s]}", "issuer", url.origin, "authorization_endpoint",
                     authorize, "token_endpoint", token, "registration_endpoint", registration,
                     "code_challenge_methods_supported", "S256");
}

bool mcp_oauth_lists(const json_t *document, const char *key, const char *value)
{
    size_t index;
    const json_t *item;
    json_array_foreach(json_object_get(document, key), index,
                       item) if (json_is_string(item) &&
                                 strcmp(json_string_value(item), value) == 0) return true;
    return false;
}

char *mcp_oauth_scopes(const json_t *document, const char *key)
{
    char *scopes = NULL;
    size_t index;
    const json_t *item;
    json_array_foreach(json_object_get(document, key), index, item)
    {
        const char *scope = json_string_value(item);
        if (!scope || !mcp_scope_is_valid(scope) || strchr(scope, ' '))
            continue;
        char *more = mcp_scope_union(scopes, scope);
        free(scopes);
        scopes = more;
    }
    return scopes;
}
