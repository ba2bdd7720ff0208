#include "tests/conformance/sign_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"

enum { CALL_MS = 20 * 1000, ANSWER_MAX = 64 << 10, URL_MAX = 16 << 10, CLIENTS_MAX = 8 };

static const char redirect_uri[] = "http://127.0.0.1:33418/callback";
static const char metadata_url[] = "https://conformance-test.local/client-metadata.json";
static const char jwt_bearer[] = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/* Who we are to one authorization server. */
struct registration {
    char *issuer;
    struct mcp_oauth_client client;
    struct registration *next;
};

struct sign_in {
    struct http_client *http;
    char *server_url;
    json_t *context;
    struct registration *registrations;
    size_t count;
    /* of the round under way */
    struct mcp_oauth *oauth;
    const struct mcp_oauth_site *site;
    char *scope;
    struct mcp_oauth_client *client;
    char *state, *verifier;
    uint64_t call;
};

static const char *issuer_of(const struct sign_in *sign_in)
{
    return js_str(sign_in->site->issuer, "issuer", "");
}

static void send(struct sign_in *sign_in, const char *method, const char *url,
                 const char *content_type, const char *body, http_done_fn *done)
{
    const char *const headers[] = {"Accept: application/json", content_type, NULL};
    struct http_call call = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = CALL_MS,
        .answer_max = ANSWER_MAX,
        .public_only = mcp_oauth_public_only(sign_in->server_url, NULL, url),
    };
    sign_in->call = http_client_send(sign_in->http, &call, done, sign_in);
}

/* Authorization */

/* RFC 9207 §2.4: compared as text; an issuer that promises to name itself must. */
static const char *check_issuer(const struct sign_in *sign_in, const char *query)
{
    AUTOFREE char *iss = http_query_value(query, "iss");
    if (iss)
        return strcmp(iss, issuer_of(sign_in)) == 0
                   ? NULL
                   : "the authorization response is of another issuer";
    return js_bool(sign_in->site->issuer, "authorization_response_iss_parameter_supported", false)
               ? "the authorization response does not name its issuer"
               : NULL;
}

static const char *check_redirect(const struct sign_in *sign_in, const char *location,
                                  struct http_url *ret_url)
{
    size_t len = strlen(redirect_uri);
    if (strncmp(location, redirect_uri, len) != 0 || location[len] != '?' ||
        http_url_parse(location, ret_url) != ERR_OK)
        return "the authorization server led to another place than it was told";
    AUTOFREE char *state = http_query_value(ret_url->query, "state");
    if (!state || strcmp(state, sign_in->state) != 0)
        return "the authorization response is not the one that was asked for";
    const char *why = check_issuer(sign_in, ret_url->query);
    if (why)
        return why;
    AUTOFREE char *error = http_query_value(ret_url->query, "error");
    return error ? "the authorization server refused" : NULL;
}

static void on_authorized(void *arg, enum err error, const struct http_answer *answer)
{
    struct sign_in *sign_in = arg;
    struct http_url url;
    sign_in->call = 0;
    if (error) {
        mcp_oauth_give_up(sign_in->oauth, answer->error);
        return;
    }
    const char *why = check_redirect(sign_in, answer->location, &url);
    AUTOFREE char *code = why ? NULL : http_query_value(url.query, "code");
    if (!code) {
        mcp_oauth_give_up(sign_in->oauth, why ? why : "the authorization response has no code");
        return;
    }
    const char *const fields[] = {
        "grant_type",    "authorization_code", "code", code, "redirect_uri", redirect_uri,
        "code_verifier", sign_in->verifier,    NULL};
    mcp_oauth_ask_token(sign_in->oauth, sign_in->client, fields);
}

static char *random_text(void)
{
    uint8_t bytes[32];
    crypto_random(bytes, sizeof bytes);
    return crypto_base64url_encode(bytes, sizeof bytes);
}

static void authorize(struct sign_in *sign_in)
{
    const json_t *issuer = sign_in->site->issuer;
    const char *endpoint = js_str(issuer, "authorization_endpoint", NULL);
    if (!endpoint || !mcp_oauth_lists(issuer, "code_challenge_methods_supported", "S256")) {
        mcp_oauth_give_up(sign_in->oauth, "the authorization server has no code flow with PKCE");
        return;
    }
    free(sign_in->state);
    free(sign_in->verifier);
    sign_in->state = random_text();
    sign_in->verifier = random_text();
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(sign_in->verifier, strlen(sign_in->verifier), digest);
    AUTOFREE char *challenge = crypto_base64url_encode(digest, sizeof digest);
    /* OpenID's way to ask for a refresh token (SEP-2207). */
    bool offline = mcp_oauth_lists(issuer, "scopes_supported", "offline_access");
    AUTOFREE char *scope = mcp_scope_union(sign_in->scope, offline ? "offline_access" : NULL);
    const char *const pairs[] = {"response_type",
                                 "code",
                                 "client_id",
                                 sign_in->client->id,
                                 "redirect_uri",
                                 redirect_uri,
                                 "state",
                                 sign_in->state,
                                 "code_challenge",
                                 challenge,
                                 "code_challenge_method",
                                 "S256",
                                 "resource",
                                 sign_in->site->resource,
                                 scope ? "scope" : NULL,
                                 scope,
                                 NULL};
    AUTOFREE char *query = http_form_encode(pairs);
    AUTOFREE char *url = mem_printf("%s%c%s", endpoint, strchr(endpoint, '?') ? '&' : '?', query);
    send(sign_in, "GET", url, NULL, NULL, on_authorized);
}

/* Registration */

static struct mcp_oauth_client *add_registration(struct sign_in *sign_in, const char *id,
                                                 const char *secret, const char *method)
{
    struct registration *registration = mem_alloc(sizeof *registration);
    registration->issuer = mem_strdup(issuer_of(sign_in));
    registration->client.id = mem_strdup(id);
    registration->client.secret = mem_strdup_opt(secret);
    registration->client.method = mem_strdup_opt(method);
    registration->next = sign_in->registrations;
    sign_in->registrations = registration;
    sign_in->count++;
    return &registration->client;
}

static void on_registered(void *arg, enum err error, const struct http_answer *answer)
{
    struct sign_in *sign_in = arg;
    AUTOJSON json_t *registered = NULL;
    sign_in->call = 0;
    if (error || (answer->status != 200 && answer->status != 201) ||
        js_parse(answer->body, answer->len, &registered, NULL) != ERR_OK ||
        !js_str(registered, "client_id", "")[0]) {
        mcp_oauth_give_up(sign_in->oauth, "the authorization server did not register the client");
        return;
    }
    const char *method = js_str(registered, "token_endpoint_auth_method", NULL);
    sign_in->client = add_registration(sign_in, js_str(registered, "client_id", ""),
                                       js_str(registered, "client_secret", NULL), method);
    authorize(sign_in);
}

/* RFC 7591. */
static void enroll(struct sign_in *sign_in)
{
    static const char *const methods[] = {"none", "client_secret_basic", "client_secret_post"};
    const json_t *issuer = sign_in->site->issuer;
    const char *endpoint = js_str(issuer, "registration_endpoint", NULL), *method = methods[0];
    if (!endpoint || sign_in->count >= CLIENTS_MAX) {
        mcp_oauth_give_up(sign_in->oauth, "the client is not registered there, and can't be");
        return;
    }
    for (size_t i = sizeof methods / sizeof *methods; i-- > 0;)
        if (mcp_oauth_lists(issuer, "token_endpoint_auth_methods_supported", methods[i]))
            method = methods[i];
    AUTOJSON json_t *client = json_pack(
        "{s:s, s:[s], s:[s, s], s:[s], s:s, s:s}", "client_name", "mcpbus", "redirect_uris",
        redirect_uri, "grant_types", "authorization_code", "refresh_token", "response_types",
        "code", "token_endpoint_auth_method", method, "application_type", "native");
    if (sign_in->scope)
        json_object_set_new(client, "scope", json_string(sign_in->scope));
    AUTOFREE char *body = js_dump(client);
    send(sign_in, "POST", endpoint, "Content-Type: application/json", body, on_registered);
}

/* What we are there already; NULL: nothing yet. Credentials are never taken to another issuer. */
static struct mcp_oauth_client *known(struct sign_in *sign_in)
{
    for (struct registration *at = sign_in->registrations; at; at = at->next)
        if (strcmp(at->issuer, issuer_of(sign_in)) == 0)
            return &at->client;
    const char *id = js_str(sign_in->context, "client_id", NULL);
    const char *issuer = js_str(sign_in->context, "issuer", issuer_of(sign_in));
    if (id && strcmp(issuer, issuer_of(sign_in)) == 0 &&
        (!sign_in->registrations || json_object_get(sign_in->context, "issuer")))
        return add_registration(sign_in, id, js_str(sign_in->context, "client_secret", NULL), NULL);
    if (js_bool(sign_in->site->issuer, "client_id_metadata_document_supported", false))
        return add_registration(sign_in, metadata_url, NULL, "none");
    return NULL;
}

/* Assertions */

static void use_assertion(struct sign_in *sign_in, const char *assertion)
{
    const char *const fields[] = {"grant_type", jwt_bearer,     "assertion", assertion,
                                  "scope",      sign_in->scope, NULL};
    mcp_oauth_ask_token(sign_in->oauth, sign_in->client, fields);
}

static void on_exchanged(void *arg, enum err error, const struct http_answer *answer)
{
    struct sign_in *sign_in = arg;
    AUTOJSON json_t *exchanged = NULL;
    sign_in->call = 0;
    if (error || answer->status != 200 ||
        js_parse(answer->body, answer->len, &exchanged, NULL) != ERR_OK ||
        !js_str(exchanged, "access_token", "")[0]) {
        mcp_oauth_give_up(sign_in->oauth, "the identity provider gave no grant");
        return;
    }
    use_assertion(sign_in, js_str(exchanged, "access_token", ""));
}

/* RFC 8693, for an identity assertion that the MCP server's authorization server takes. */
static void exchange(struct sign_in *sign_in)
{
    const json_t *context = sign_in->context;
    const char *const pairs[] = {"grant_type",
                                 "urn:ietf:params:oauth:grant-type:token-exchange",
                                 "requested_token_type",
                                 "urn:ietf:params:oauth:token-type:id-jag",
                                 "subject_token_type",
                                 "urn:ietf:params:oauth:token-type:id_token",
                                 "subject_token",
                                 js_str(context, "idp_id_token", ""),
                                 "audience",
                                 issuer_of(sign_in),
                                 "resource",
                                 sign_in->site->resource,
                                 "client_id",
                                 js_str(context, "idp_client_id", ""),
                                 sign_in->scope ? "scope" : NULL,
                                 sign_in->scope,
                                 NULL};
    AUTOFREE char *body = http_form_encode(pairs);
    send(sign_in, "POST", js_str(context, "idp_token_endpoint", ""),
         "Content-Type: application/x-www-form-urlencoded", body, on_exchanged);
}

/* The grant */

static void start(void *arg, struct mcp_oauth *oauth, const struct mcp_oauth_site *site,
                  const char *scope)
{
    struct sign_in *sign_in = arg;
    sign_in->oauth = oauth;
    sign_in->site = site;
    free(sign_in->scope);
    sign_in->scope = mem_strdup_opt(scope);
    sign_in->client = known(sign_in);
    const char *assertion = js_str(sign_in->context, "valid_jwt", NULL);
    if (assertion && sign_in->client)
        use_assertion(sign_in, assertion);
    else if (json_object_get(sign_in->context, "idp_id_token") && sign_in->client)
        exchange(sign_in);
    else if (sign_in->client)
        authorize(sign_in);
    else
        enroll(sign_in);
}

static void cancel(void *arg)
{
    struct sign_in *sign_in = arg;
    http_client_cancel(sign_in->http, sign_in->call);
}

struct sign_in *sign_in_new(struct http_client *http, const char *server_url, const json_t *context)
{
    struct sign_in *sign_in = mem_alloc(sizeof *sign_in);
    sign_in->http = http;
    sign_in->server_url = mem_strdup(server_url);
    sign_in->context = json_incref((json_t *)context);
    return sign_in;
}

void sign_in_destroy(struct sign_in **sign_in_p)
{
    struct sign_in *sign_in = *sign_in_p;
    if (!sign_in)
        return;
    while (sign_in->registrations) {
        struct registration *next = sign_in->registrations->next;
        free(sign_in->registrations->issuer);
        mcp_oauth_client_fini(&sign_in->registrations->client);
        free(sign_in->registrations);
        sign_in->registrations = next;
    }
    json_decref(sign_in->context);
    free(sign_in->server_url);
    free(sign_in->scope);
    free(sign_in->state);
    mem_free_secret(&sign_in->verifier);
    free(sign_in);
    *sign_in_p = NULL;
}

struct mcp_oauth_grant sign_in_grant(struct sign_in *sign_in)
{
    return (struct mcp_oauth_grant){.start = start, .cancel = cancel, .arg = sign_in};
}
