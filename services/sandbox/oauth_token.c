/* Tokens: issuing, refreshing, revoking, checking. */
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/errors.h"
#include "libcommon/form.h"
#include "services/sandbox/oauth.h"

#define ACCESS_PREFIX "ya29."
#define REFRESH_PREFIX "1//"
#define CODE_PREFIX "4/0"
#define REFRESH_MS INT64_C(15552000000) /* half a year */
enum { SCOPE_TEXT_MAX = 4096, TOKEN_SECONDS_MAX = 86400 };

/* What a token request says; NULL what it doesn't. */
struct token_form {
    char *grant_type, *code, *redirect, *verifier, *refresh, *client, *secret;
};

static void form_free(struct token_form *form)
{
    free(form->grant_type);
    free(form->code);
    free(form->redirect);
    free(form->verifier);
    free(form->refresh);
    free(form->client);
    free(form->secret);
}

/* RFC 6749 §2.3.1: the client may name itself in a Basic header instead of the body. */
static void read_basic(struct call *call, struct token_form *form)
{
    const char *header = http_request_header(call->request, "Authorization");
    AUTOFREE uint8_t *pair = NULL;
    size_t len;
    if (!header || strncasecmp(header, "Basic ", 6) != 0 ||
        crypto_base64_decode(header + 6, strlen(header + 6), &pair, &len))
        return;
    char *colon = strchr((char *)pair, ':');
    if (!colon)
        return;
    *colon = 0;
    AUTOFREE char *as_form = mem_printf("client=%s&secret=%s", (char *)pair, colon + 1);
    free(form->client);
    free(form->secret);
    form->client = form_value(as_form, strlen(as_form), "client", 0);
    form->secret = form_value(as_form, strlen(as_form), "secret", 0);
}

static struct token_form read_form(struct call *call)
{
    size_t len;
    const char *body = http_request_body(call->request, &len);
    struct token_form form = {
        .grant_type = form_value(body, len, "grant_type", 0),
        .code = form_value(body, len, "code", 0),
        .redirect = form_value(body, len, "redirect_uri", 0),
        .verifier = form_value(body, len, "code_verifier", 0),
        .refresh = form_value(body, len, "refresh_token", 0),
        .client = form_value(body, len, "client_id", 0),
        .secret = form_value(body, len, "client_secret", 0),
    };
    read_basic(call, &form);
    return form;
}

static int64_t lifetime(struct call *call)
{
    const char *asked = http_request_header(call->request, "X-Sandbox-Expires-In");
    long seconds = asked ? strtol(asked, NULL, 10) : 0;
    return seconds >= 1 && seconds <= TOKEN_SECONDS_MAX ? seconds
                                                        : call->sandbox->options.token_seconds;
}

static json_t *token_claims(const json_t *from)
{
    return json_pack("{s:s, s:s, s:I, s:I}", "e", js_str(from, "e", ""), "c", js_str(from, "c", ""),
                     "s", (json_int_t)js_int(from, "s", 0), "g", (json_int_t)js_int(from, "g", 0));
}

static void issue(struct call *call, const json_t *claims, bool refresh)
{
    struct buf scope;
    int64_t seconds = lifetime(call);
    buf_init(&scope, SCOPE_TEXT_MAX);
    scopes_write((uint32_t)js_int(claims, "s", 0), &scope);
    AUTOFREE char *access = ticket_seal(call->sandbox->key, "access", token_claims(claims),
                                        call->now_ms + seconds * 1000);
    AUTOFREE char *access_token = mem_printf(ACCESS_PREFIX "%s", access);
    json_t *answer =
        json_pack("{s:s, s:I, s:s, s:s}", "access_token", access_token, "expires_in",
                  (json_int_t)seconds, "scope", buf_text(&scope), "token_type", "Bearer");
    if (refresh) {
        AUTOFREE char *sealed = ticket_seal(call->sandbox->key, "refresh", token_claims(claims),
                                            call->now_ms + REFRESH_MS);
        AUTOFREE char *refresh_token = mem_printf(REFRESH_PREFIX "%s", sealed);
        json_object_set_new(answer, "refresh_token", json_string(refresh_token));
    }
    buf_fini(&scope);
    reply_json(call, 200, answer);
}

static json_t *open_token(struct call *call, const char *prefix, const char *kind, const char *text)
{
    size_t len = strlen(prefix);
    if (strncmp(text, prefix, len) != 0)
        return NULL;
    json_t *claims = ticket_open(call->sandbox->key, kind, text + len, call->now_ms);
    if (claims && spent_has(&call->sandbox->revoked, (uint64_t)js_int(claims, "g", 0))) {
        json_decref(claims);
        return NULL;
    }
    return claims;
}

static bool redirect_equal(const json_t *claims, const char *redirect)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(redirect, strlen(redirect), digest);
    AUTOFREE char *text = crypto_base64url_encode(digest, sizeof(digest));
    return strcmp(js_str(claims, "r", ""), text) == 0;
}

static void exchange_code(struct call *call, const struct token_form *form)
{
    if (!form->code || !form->redirect) {
        oauth_error(call, 400, "invalid_request", "Missing required parameter: code, redirect_uri");
        return;
    }
    AUTOJSON json_t *claims = open_token(call, CODE_PREFIX, "code", form->code);
    uint64_t nonce = (uint64_t)js_int(claims, "n", 0);
    const char *challenge = js_str(claims, "p", NULL);
    if (!claims || spent_has(&call->sandbox->codes, nonce) ||
        strcmp(js_str(claims, "c", ""), form->client) != 0) {
        oauth_error(call, 400, "invalid_grant", "Malformed auth code.");
    } else if (!redirect_equal(claims, form->redirect)) {
        oauth_error(call, 400, "redirect_uri_mismatch", "Bad Request");
    } else if (challenge && !form->verifier) {
        oauth_error(call, 400, "invalid_grant", "Missing code verifier.");
    } else if (challenge && !pkce_matches(challenge, form->verifier)) {
        oauth_error(call, 400, "invalid_grant", "Invalid code verifier.");
    } else {
        spent_add(&call->sandbox->codes, nonce);
        issue(call, claims, js_bool(claims, "o", false));
    }
}

static void exchange_refresh(struct call *call, const struct token_form *form)
{
    AUTOJSON json_t *claims =
        form->refresh ? open_token(call, REFRESH_PREFIX, "refresh", form->refresh) : NULL;
    if (!form->refresh)
        oauth_error(call, 400, "invalid_request", "Missing required parameter: refresh_token");
    else if (!claims || strcmp(js_str(claims, "c", ""), form->client) != 0)
        oauth_error(call, 400, "invalid_grant", "Token has been expired or revoked.");
    else
        issue(call, claims, false);
}

void oauth_token(struct call *call)
{
    struct token_form form = read_form(call);
    if (!oauth_client_known(&call->sandbox->options, form.client))
        oauth_error(call, 401, "invalid_client", "The OAuth client was not found.");
    else if (!oauth_client_proves(&call->sandbox->options, form.client, form.secret))
        oauth_error(call, 401, "invalid_client", "The provided client secret is invalid.");
    else if (!form.grant_type)
        oauth_error(call, 400, "invalid_request", "Missing required parameter: grant_type");
    else if (strcmp(form.grant_type, "authorization_code") == 0)
        exchange_code(call, &form);
    else if (strcmp(form.grant_type, "refresh_token") == 0)
        exchange_refresh(call, &form);
    else
        oauth_error(call, 400, "unsupported_grant_type", "Invalid grant_type");
    form_free(&form);
}

/* Revoking either token takes back the whole consent, as at Google. */
void oauth_revoke(struct call *call)
{
    size_t len;
    const char *body = http_request_body(call->request, &len);
    AUTOFREE char *in_body = form_value(body, len, "token", 0);
    const char *token = in_body ? in_body : http_request_query(call->request, "token");
    json_t *claims = token ? open_token(call, ACCESS_PREFIX, "access", token) : NULL;
    if (token && !claims)
        claims = open_token(call, REFRESH_PREFIX, "refresh", token);
    if (!claims) {
        oauth_error(call, 400, "invalid_token", "Token expired or revoked");
        return;
    }
    uint64_t grant = (uint64_t)js_int(claims, "g", 0);
    struct account *account = accounts_find(call->sandbox->accounts, js_str(claims, "e", ""));
    spent_add(&call->sandbox->revoked, grant);
    if (account && account->grant == grant) {
        account->grant = 0;
        account->granted = 0;
    }
    json_decref(claims);
    reply_json(call, 200, json_object());
}

bool oauth_bearer(struct call *call)
{
    const char *header = http_request_header(call->request, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    AUTOJSON json_t *claims = open_token(call, ACCESS_PREFIX, "access", header + 7);
    call->account = claims ? accounts_get(call->sandbox->accounts, js_str(claims, "e", "")) : NULL;
    call->scopes = (uint32_t)js_int(claims, "s", 0);
    return call->account != NULL;
}

/* An account whose address is not known to be its own can be had by its name. */
static bool is_verified(const struct account *account)
{
    return strncmp(account->email, "unverified", strlen("unverified")) != 0;
}

void oauth_userinfo(struct call *call)
{
    const struct account *account = call->account;
    json_t *answer = json_pack("{s:s}", "sub", account->sub);
    if (call->scopes & SCOPE_EMAIL) {
        json_object_set_new(answer, "email", json_string(account->email));
        json_object_set_new(answer, "email_verified", json_boolean(is_verified(account)));
    }
    if (call->scopes & SCOPE_PROFILE) {
        AUTOFREE char *picture =
            mem_printf("https://lh3.googleusercontent.com/a/sandbox-%s=s96-c", account->sub);
        json_object_set_new(answer, "name", json_string(account->name));
        json_object_set_new(answer, "given_name", json_string(account->name));
        json_object_set_new(answer, "picture", json_string(picture));
    }
    reply_json(call, 200, answer);
}
