#include "libmcp/mcp_oauth_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { TOKEN_MAX = 16 << 10, ASSERTION_S = 120, NONCE_MAX = 512, EARLY_MS = 30 * 1000 };
static const int64_t LIFE_MAX_S = 366LL * 24 * 3600;
static const char assertion_type[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

void mcp_oauth_client_fini(struct mcp_oauth_client *client)
{
    free(client->id);
    mem_free_secret(&client->secret);
    free(client->method);
    crypto_key_destroy(&client->key);
    *client = (struct mcp_oauth_client){0};
}

/* How the client shows who it is */

static bool allowed(const json_t *site, const char *method)
{
    static const char list[] = "token_endpoint_auth_methods_supported";
    /* RFC 8414 §2: without the list it is client_secret_basic; who has another kind of secret may
     * as well try it. */
    return !json_object_get(site, list) || mcp_oauth_lists(site, list, method);
}

static const char *choose_method(const json_t *site, const struct mcp_oauth_client *client)
{
    if (client->method)
        return client->method;
    if (client->key)
        return allowed(site, "private_key_jwt") ? "private_key_jwt" : NULL;
    if (client->secret && allowed(site, "client_secret_basic"))
        return "client_secret_basic";
    if (client->secret && allowed(site, "client_secret_post"))
        return "client_secret_post";
    return allowed(site, "none") || !client->secret ? "none" : NULL;
}

struct form {
    const char *pairs[2 * MCP_TOKEN_FIELDS + 1];
    size_t count;
};

static void add_field(struct form *form, const char *name, const char *value)
{
    if (!value || form->count >= (size_t)2 * MCP_TOKEN_FIELDS)
        return;
    form->pairs[form->count++] = name;
    form->pairs[form->count++] = value;
}

/* RFC 6749 §2.3.1: both parts are encoded as in a form before base64. */
static char *basic_line(const struct mcp_oauth_client *client)
{
    AUTOFREE char *id = http_url_encode(client->id);
    char *secret = http_url_encode(client->secret);
    char *pair = mem_printf("%s:%s", id, secret);
    char *encoded = crypto_base64_encode(pair, strlen(pair));
    char *line = mem_printf("Authorization: Basic %s", encoded);
    mem_free_secret(&secret);
    mem_free_secret(&pair);
    mem_free_secret(&encoded);
    return line;
}

/* RFC 7523 §3, for this authorization server alone. */
static char *client_assertion(const json_t *site, const struct mcp_oauth_client *client)
{
    char id[CRYPTO_UUID_SIZE], *jws = NULL;
    crypto_uuid4(id);
    json_int_t now = time(NULL), end = now + ASSERTION_S;
    const char *audience = js_str(site, "issuer", NULL);
    if (!audience)
        audience = js_str(site, "token_endpoint", "");
    AUTOJSON json_t *header = json_pack("{s:s}", "typ", "JWT");
    AUTOJSON json_t *claims =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "iss", client->id, "sub", client->id, "aud",
                  audience, "jti", id, "iat", now, "exp", end);
    return crypto_key_sign(client->key, header, claims, &jws) == ERR_OK ? jws : NULL;
}

static bool authenticate(const json_t *site, const struct mcp_oauth_client *client,
                         struct form *form, char **line, char **assertion)
{
    const char *method = choose_method(site, client);
    if (!method)
        return false;
    if (strcmp(method, "client_secret_basic") == 0 && client->secret) {
        *line = basic_line(client);
        return true;
    }
    add_field(form, "client_id", client->id);
    if (strcmp(method, "none") == 0)
        return true;
    if (strcmp(method, "client_secret_post") == 0 && client->secret) {
        add_field(form, "client_secret", client->secret);
        return true;
    }
    if (strcmp(method, "private_key_jwt") != 0 || !client->key)
        return false;
    *assertion = client_assertion(site, client);
    add_field(form, "client_assertion_type", assertion_type);
    add_field(form, "client_assertion", *assertion);
    return *assertion != NULL;
}

enum err mcp_token_request_make(const json_t *site, const struct mcp_oauth_client *client,
                                const char *const *fields, struct crypto_key *dpop_key,
                                const char *nonce, struct mcp_token_request *ret_request,
                                char *ret_why)
{
    struct mcp_token_request request = {0};
    struct form form = {0};
    char *assertion = NULL, *line = NULL;
    size_t count = 0;
    for (; fields[0]; fields += 2)
        add_field(&form, fields[0], fields[1]);
    if (!authenticate(site, client, &form, &line, &assertion)) {
        snprintf(ret_why, MCP_OAUTH_WHY_SIZE,
                 "the authorization server takes no credentials of the kind that are configured");
        return ERR_DENIED;
    }
    request.headers[count++] = mem_strdup("Content-Type: application/x-www-form-urlencoded");
    request.headers[count++] = mem_strdup("Accept: application/json");
    if (line)
        request.headers[count++] = line;
    if (dpop_key) {
        AUTOFREE char *proof =
            mcp_dpop_proof(dpop_key, "POST", js_str(site, "token_endpoint", ""), nonce, NULL);
        request.headers[count++] = mem_printf("DPoP: %s", proof ? proof : "");
    }
    request.body = http_form_encode(form.pairs);
    mem_free_secret(&assertion);
    *ret_request = request;
    return ERR_OK;
}

void mcp_token_request_fini(struct mcp_token_request *request)
{
    for (size_t i = 0; i < MCP_TOKEN_HEADERS; i++)
        mem_free_secret(&request->headers[i]);
    mem_free_secret(&request->body);
}

/* The answer */

/* RFC 6749 §A.12: VSCHAR; nothing else may go into a header. */
static bool is_token(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
            return false;
    return len > 0 && len <= TOKEN_MAX;
}

/* An error code goes into a line for people, so only what looks like one does. */
static void read_code(const json_t *answer, char ret_code[MCP_OAUTH_CODE_SIZE])
{
    const char *code = js_str(answer, "error", "");
    size_t len = strspn(code, "abcdefghijklmnopqrstuvwxyz_-");
    snprintf(ret_code, MCP_OAUTH_CODE_SIZE, "%s",
             !code[len] && len < MCP_OAUTH_CODE_SIZE ? code : "");
}

/* Half a minute before its end, or earlier: on its way a request takes time as well. */
static int64_t renewal(const json_t *answer, int64_t now)
{
    int64_t life = js_int(answer, "expires_in", 0);
    const char *text = js_str(answer, "expires_in", NULL); /* some send it so */
    if (text)
        life = strtoll(text, NULL, 10);
    if (life <= 0)
        return 0;
    life = (life < LIFE_MAX_S ? life : LIFE_MAX_S) * 1000;
    return now + life - (life / 4 < EARLY_MS ? life / 4 : EARLY_MS);
}

static enum err nonsense(char *ret_why, const char *what)
{
    snprintf(ret_why, MCP_OAUTH_WHY_SIZE, "the authorization server %s", what);
    return ERR_UPSTREAM;
}

static enum err refusal(int status, const char *code, char *ret_why)
{
    snprintf(ret_why, MCP_OAUTH_WHY_SIZE,
             "the authorization server gave no token (HTTP status %d%s%s)", status,
             *code ? ", " : "", code);
    return ERR_UPSTREAM;
}

enum err mcp_tokens_read(int status, const char *body, size_t len, int64_t now,
                         struct mcp_tokens *ret_tokens, char *ret_why, char *ret_code)
{
    AUTOJSON json_t *answer = NULL;
    char code[MCP_OAUTH_CODE_SIZE] = "";
    bool read = js_parse(body, len, &answer, NULL) == ERR_OK && json_is_object(answer);
    if (read)
        read_code(answer, code);
    if (ret_code)
        snprintf(ret_code, MCP_OAUTH_CODE_SIZE, "%s", code);
    /* Some answer an error with 200. */
    if (status < 200 || status > 299 || (read && json_object_get(answer, "error")))
        return refusal(status, code, ret_why);
    if (!read)
        return nonsense(ret_why, "answered with something other than JSON");
    const char *access = js_str(answer, "access_token", ""),
               *type = js_str(answer, "token_type", "");
    const char *refresh = js_str(answer, "refresh_token", NULL);
    const char *scope = js_str(answer, "scope", NULL);
    bool dpop = strcasecmp(type, "DPoP") == 0;
    if (!is_token(access))
        return nonsense(ret_why, "gave no token that can be sent");
    if (!dpop && strcasecmp(type, "Bearer") != 0)
        return nonsense(ret_why, "gave a token of an unknown type");
    *ret_tokens = (struct mcp_tokens){
        .access = mem_strdup(access),
        .refresh = refresh && is_token(refresh) ? mem_strdup(refresh) : NULL,
        .scope = mem_strdup_opt(scope),
        .dpop = dpop,
        .renew_at = renewal(answer, now),
    };
    return ERR_OK;
}

void mcp_tokens_fini(struct mcp_tokens *tokens)
{
    mem_free_secret(&tokens->access);
    mem_free_secret(&tokens->refresh);
    free(tokens->scope);
    *tokens = (struct mcp_tokens){0};
}

/* RFC 9449 §4.2: without query and fragment. */
static json_t *proof_claims(const char *method, const struct http_url *url, const char *nonce,
                            const char *access_token)
{
    char id[CRYPTO_UUID_SIZE];
    crypto_uuid4(id);
    AUTOFREE char *place = mem_printf("%s%s", url->origin, url->path);
    json_t *claims = json_pack("{s:s, s:s, s:s, s:I}", "jti", id, "htm", method, "htu", place,
                               "iat", (json_int_t)time(NULL));
    if (nonce && *nonce && strlen(nonce) <= NONCE_MAX)
        json_object_set_new(claims, "nonce", json_string(nonce));
    if (access_token) {
        uint8_t digest[CRYPTO_SHA256_BYTES];
        crypto_sha256(access_token, strlen(access_token), digest);
        AUTOFREE char *hash = crypto_base64url_encode(digest, sizeof digest);
        json_object_set_new(claims, "ath", json_string(hash));
    }
    return claims;
}

char *mcp_dpop_proof(struct crypto_key *key, const char *method, const char *url, const char *nonce,
                     const char *access_token)
{
    struct http_url parts;
    char *jws = NULL;
    if (http_url_parse(url, &parts) != ERR_OK)
        return NULL;
    AUTOJSON json_t *header =
        json_pack("{s:s, s:o}", "typ", "dpop+jwt", "jwk", crypto_key_jwk(key));
    AUTOJSON json_t *claims = proof_claims(method, &parts, nonce, access_token);
    return crypto_key_sign(key, header, claims, &jws) == ERR_OK ? jws : NULL;
}
