/* What an MCP server and an authorization server answer to an OAuth client. The first byte chooses
 * the parser; what one lets through must hold what its header promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"
#include "libmcp/mcp_oauth_metadata.h"
#include "libmcp/mcp_oauth_token.h"

static const char server[] = "https://mcp.example/team/mcp";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void challenge(const char *text)
{
    struct mcp_challenge challenge;
    if (mcp_challenge_parse(text, &challenge) != ERR_OK)
        return;
    require(!challenge.scope || mcp_scope_is_valid(challenge.scope));
    char *all = mcp_scope_union("kept", challenge.scope);
    require(mcp_scope_covers(all, "kept"));
    free(all);
    mcp_challenge_fini(&challenge);
}

static void resource(const char *text, size_t len)
{
    char why[MCP_OAUTH_WHY_SIZE];
    json_t *document;
    if (mcp_oauth_read_resource(text, len, server, &document, why) != ERR_OK)
        return;
    require(mcp_oauth_same_origin(js_str(document, "resource", ""), server));
    free(mcp_oauth_scopes(document, "scopes_supported"));
    json_decref(document);
}

static void issuer(const char *text, size_t len)
{
    char why[MCP_OAUTH_WHY_SIZE];
    json_t *document;
    if (mcp_oauth_read_issuer(text, len, "https://as.example", server, &document, why) != ERR_OK)
        return;
    require(mcp_oauth_url_is_safe(server, js_str(document, "token_endpoint", "")));
    json_decref(document);
}

static void tokens(const char *text, size_t len)
{
    char why[MCP_OAUTH_WHY_SIZE], code[MCP_OAUTH_CODE_SIZE];
    struct mcp_tokens tokens;
    if (mcp_tokens_read(200, text, len, 0, &tokens, why, code) != ERR_OK)
        return;
    require(*tokens.access && !strpbrk(tokens.access, " \t\r\n"));
    mcp_tokens_fini(&tokens);
}

static void url(const char *text)
{
    struct http_url parts;
    char *urls[MCP_OAUTH_URLS];
    for (int i = mcp_oauth_resource_urls(text, urls); i > 0;)
        free(urls[--i]);
    for (int i = mcp_oauth_issuer_urls(text, urls); i > 0;)
        free(urls[--i]);
    if (http_url_parse(text, &parts) != ERR_OK)
        return;
    require(parts.host[0] && parts.path[0] == '/');
    free(http_query_value(parts.query, "code"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = mem_strndup((const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'c':
        challenge(text);
        break;
    case 'r':
        resource(text, size - 1);
        break;
    case 'i':
        issuer(text, size - 1);
        break;
    case 't':
        tokens(text, size - 1);
        break;
    default:
        url(text);
    }
    free(text);
    return 0;
}
