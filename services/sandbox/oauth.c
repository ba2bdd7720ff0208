/* Signing in: the consent page and its answer. */
#include "services/sandbox/oauth.h"

#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/errors.h"
#include "libcommon/form.h"

enum { IDENTITY = SCOPE_OPENID | SCOPE_EMAIL | SCOPE_PROFILE, LOCATION_MAX = 16384 };

bool pkce_matches(const char *challenge, const char *verifier)
{
    size_t len = strlen(verifier);
    uint8_t digest[CRYPTO_SHA256_BYTES];
    if (len < 43 || len > 128)
        return false;
    crypto_sha256(verifier, len, digest);
    AUTOFREE char *expected = crypto_base64url_encode(digest, sizeof(digest));
    return strlen(challenge) == strlen(expected) &&
           crypto_equal(challenge, expected, strlen(expected));
}

char *ticket_seal(const uint8_t key[32], const char *kind, json_t *claims, int64_t expires_ms)
{
    json_object_set_new(claims, "x", json_integer(expires_ms));
    AUTOFREE char *text = js_dump(claims);
    json_decref(claims);
    return crypto_seal(key, kind, text, strlen(text));
}

json_t *ticket_open(const uint8_t key[32], const char *kind, const char *text, int64_t now_ms)
{
    AUTOFREE char *plain = NULL;
    size_t len;
    json_t *claims = NULL;
    if (crypto_open(key, kind, text, &plain, &len) || js_parse(plain, len, &claims, NULL))
        return NULL;
    if (js_int(claims, "x", 0) > now_ms)
        return claims;
    json_decref(claims);
    return NULL;
}

bool oauth_client_known(const struct sandbox_options *options, const char *client)
{
    if (!client || !*client || strlen(client) > OAUTH_CLIENT_MAX)
        return false;
    return !options->client_id || strcmp(options->client_id, client) == 0;
}

/* Unset settings accept any client, but the one that the sandbox itself names has its own secret.
 */
bool oauth_client_proves(const struct sandbox_options *options, const char *client,
                         const char *secret)
{
    if (!oauth_client_known(options, client) || !secret || !*secret)
        return false;
    const char *expected = options->client_secret;
    if (!expected && strcmp(client, "sandbox-client") == 0)
        expected = "sandbox-secret";
    return !expected ||
           (strlen(expected) == strlen(secret) && crypto_equal(expected, secret, strlen(expected)));
}

static bool flag(struct call *call, const char *name, const char *word)
{
    const char *value = http_request_query(call->request, name);
    return value && strstr(value, word);
}

/* NULL: fine; else OAuth's error code, `ret_why` says more. */
static const char *check_request(struct call *call, const struct auth_request *request,
                                 const char **ret_why)
{
    const char *type = http_request_query(call->request, "response_type");
    const char *method = http_request_query(call->request, "code_challenge_method");
    *ret_why = "The OAuth client was not found.";
    if (!oauth_client_known(&call->sandbox->options, request->client))
        return "invalid_client";
    *ret_why = "The redirect_uri is missing or not an http(s) address.";
    if (!request->redirect || !url_is_redirectable(request->redirect))
        return "redirect_uri_mismatch";
    *ret_why = "The response_type must be code.";
    if (!type || strcmp(type, "code") != 0)
        return "unsupported_response_type";
    *ret_why = "The code_challenge must be of 43 characters with code_challenge_method=S256.";
    if (request->challenge &&
        (strlen(request->challenge) != 43 || !method || strcmp(method, "S256") != 0))
        return "invalid_request";
    *ret_why = "The state is too long.";
    if (request->state && strlen(request->state) > OAUTH_STATE_MAX)
        return "invalid_request";
    return NULL;
}

static const char *read_request(struct call *call, struct auth_request *ret_request,
                                const char **ret_why)
{
    struct http_request *http = call->request;
    const char *scope = http_request_query(http, "scope");
    const char *hint = http_request_query(http, "login_hint");
    *ret_request = (struct auth_request){
        .client = http_request_query(http, "client_id"),
        .redirect = http_request_query(http, "redirect_uri"),
        .state = http_request_query(http, "state"),
        .challenge = http_request_query(http, "code_challenge"),
        .hint = hint ? hint : http_request_query(http, "sandbox_email"),
        .offline = flag(call, "access_type", "offline"),
        .consent = flag(call, "prompt", "consent"),
        .include = flag(call, "include_granted_scopes", "true"),
    };
    const char *error = check_request(call, ret_request, ret_why);
    if (error)
        return error;
    *ret_why = "Some requested scopes are invalid or missing.";
    return scope && scopes_parse(scope, &ret_request->scopes) == ERR_OK ? NULL : "invalid_scope";
}

static json_t *request_claims(const struct auth_request *request)
{
    return json_pack("{s:s, s:s, s:s?, s:s?, s:I, s:b, s:b, s:b}", "client", request->client,
                     "redirect", request->redirect, "state", request->state, "challenge",
                     request->challenge, "scopes", (json_int_t)request->scopes, "offline",
                     request->offline, "consent", request->consent, "include", request->include);
}

static struct auth_request claims_request(const json_t *claims)
{
    return (struct auth_request){
        .client = js_str(claims, "client", ""),
        .redirect = js_str(claims, "redirect", ""),
        .state = js_str(claims, "state", NULL),
        .challenge = js_str(claims, "challenge", NULL),
        .scopes = (uint32_t)js_int(claims, "scopes", 0),
        .offline = js_bool(claims, "offline", false),
        .consent = js_bool(claims, "consent", false),
        .include = js_bool(claims, "include", false),
    };
}

/* 302 to the client: `name` is "code" or "error". */
static void redirect_back(struct call *call, const struct auth_request *request, const char *name,
                          const char *value, uint32_t scopes)
{
    struct buf location, names;
    buf_init(&location, LOCATION_MAX);
    buf_init(&names, LOCATION_MAX);
    buf_printf(&location, "%s%c%s=", request->redirect, strchr(request->redirect, '?') ? '&' : '?',
               name);
    url_encode(&location, value);
    if (request->state) {
        buf_add_str(&location, "&state=");
        url_encode(&location, request->state);
    }
    if (scopes) {
        scopes_write(scopes, &names);
        buf_add_str(&location, "&scope=");
        url_encode(&location, buf_text(&names));
    }
    struct http_header headers[] = {
        {"Location", buf_text(&location)}, {"Cache-Control", "no-store"}, {NULL, NULL}};
    if (buf_check(&location) == ERR_OK)
        http_respond(call->request, 302, "text/plain", "", 0, headers);
    else
        page_error(call, 400, "invalid_request", "The request is too long.");
    buf_fini(&location);
    buf_fini(&names);
}

static uint64_t fresh_number(void)
{
    return (crypto_random_u64() & ((UINT64_C(1) << 52) - 1)) | 1;
}

static char *make_code(struct call *call, const struct auth_request *request,
                       struct account *account, uint32_t scopes, bool refresh)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(request->redirect, strlen(request->redirect), digest);
    AUTOFREE char *redirect = crypto_base64url_encode(digest, sizeof(digest));
    json_t *claims =
        json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:b}", "e", account->email, "c",
                  request->client, "r", redirect, "p", request->challenge, "s", (json_int_t)scopes,
                  "g", (json_int_t)account->grant, "n", (json_int_t)fresh_number(), "o", refresh);
    AUTOFREE char *sealed =
        ticket_seal(call->sandbox->key, "code", claims, call->now_ms + OAUTH_CODE_MS);
    return mem_printf("4/0%s", sealed);
}

/* Scopes that were granted before come along, as Google's incremental authorization has it, but not
 * those that were just refused. */
static void allow(struct call *call, const struct auth_request *request, struct account *account,
                  uint32_t chosen)
{
    uint32_t scopes = (chosen | IDENTITY) & request->scopes;
    bool first = account->grant == 0;
    uint32_t refused = request->scopes & ~scopes;
    account->granted = (account->granted | scopes) & ~refused;
    if (first)
        account->grant = fresh_number();
    if (request->include)
        scopes = account->granted;
    AUTOFREE char *code =
        make_code(call, request, account, scopes, request->offline && (first || request->consent));
    redirect_back(call, request, "code", code, scopes);
}

static void answer_by_itself(struct call *call, const struct auth_request *request,
                             const char *decision)
{
    const char *denied = http_request_query(call->request, "sandbox_deny");
    uint32_t refused = 0;
    struct account *account =
        accounts_get(call->sandbox->accounts, request->hint ? request->hint : "ada@example.com");
    if (strcmp(decision, "allow") != 0)
        redirect_back(call, request, "error", "access_denied", 0);
    else if (!account || (denied && scopes_parse(denied, &refused)))
        page_error(call, 400, "invalid_request", "No such account or scope.");
    else
        allow(call, request, account, request->scopes & ~refused);
}

void oauth_authorize(struct call *call)
{
    struct auth_request request;
    const char *why, *error = read_request(call, &request, &why);
    if (error) {
        page_error(call, strcmp(error, "invalid_client") == 0 ? 401 : 400, error, why);
        return;
    }
    const char *decision = http_request_query(call->request, "sandbox_auto");
    if (decision) {
        answer_by_itself(call, &request, decision);
    } else if (flag(call, "prompt", "none")) {
        redirect_back(call, &request, "error", "interaction_required", 0);
    } else {
        AUTOFREE char *form = ticket_seal(call->sandbox->key, "form", request_claims(&request),
                                          call->now_ms + OAUTH_FORM_MS);
        page_consent(call, &request, form);
    }
}

static uint32_t chosen_scopes(const char *body, size_t len)
{
    uint32_t scopes = 0;
    for (unsigned i = 0; i < 2 * SCOPE_COUNT; i++) {
        AUTOFREE char *name = form_value(body, len, "scope", i);
        uint32_t some = 0;
        if (!name)
            break;
        if (scopes_parse(name, &some) == ERR_OK)
            scopes |= some;
    }
    return scopes;
}

void oauth_consent(struct call *call)
{
    size_t len;
    const char *body = http_request_body(call->request, &len);
    AUTOFREE char *form = form_value(body, len, "request", 0);
    AUTOFREE char *email = form_value(body, len, "email", 0);
    AUTOFREE char *action = form_value(body, len, "action", 0);
    AUTOJSON json_t *claims =
        form ? ticket_open(call->sandbox->key, "form", form, call->now_ms) : NULL;
    if (!claims || !action) {
        page_error(call, 400, "invalid_request", "The form is not ours or has expired.");
        return;
    }
    struct auth_request request = claims_request(claims);
    struct account *account = email ? accounts_get(call->sandbox->accounts, email) : NULL;
    if (strcmp(action, "allow") != 0)
        redirect_back(call, &request, "error", "access_denied", 0);
    else if (!account)
        page_error(call, 400, "invalid_request", "That is not an email address.");
    else
        allow(call, &request, account, chosen_scopes(body, len));
}
