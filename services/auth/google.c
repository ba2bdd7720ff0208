#include "services/auth/google.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/outside.h"

enum {
    CALL_TIMEOUT_MS = 15000,
    REVOKE_TIMEOUT_MS = 5000,
    ANSWER_MAX_BYTES = 64 * 1024,
    CONNECTIONS_MAX = 16,
    TOKEN_MAX_BYTES = 16 * 1024,
    SUB_MAX_BYTES = 255,
    WHY_SIZE = 256,
    DEFAULT_LIFE_S = 3600,
};

struct google {
    struct http_client *http;
    const struct settings *settings;
};

struct request {
    const char *what; /* "token endpoint" */
    google_tokens_fn *tokens;
    google_profile_fn *profile;
    google_done_fn *done;
    void *arg;
};

struct google *google_new(struct loop *loop, const struct settings *settings)
{
    struct google *google = mem_alloc(sizeof(*google));
    google->settings = settings;
    struct http_client_options options = outside_options(settings, CONNECTIONS_MAX);
    google->http = http_client_new(loop, &options);
    return google;
}

void google_destroy(struct google **google_p)
{
    struct google *google = *google_p;
    if (!google)
        return;
    *google_p = NULL;
    http_client_destroy(&google->http);
    free(google);
}

/* The error's code, when it looks like one (RFC 6749 §5.2): it is shown to people. */
static const char *error_code(const json_t *body)
{
    const char *code = js_str(body, "error", "");
    size_t len = strspn(code, "abcdefghijklmnopqrstuvwxyz_");
    return len > 0 && len <= 64 && code[len] == '\0' ? code : NULL;
}

/* What an answer means: the body of a good one, an object, or why there is none. */
static enum err judge(const struct request *request, enum err error,
                      const struct http_answer *answer, json_t **ret_body, char why[WHY_SIZE])
{
    if (error) {
        snprintf(why, WHY_SIZE, "Google's %s gave no answer (%s)", request->what, err_text(error));
        return error == ERR_CANCELLED ? ERR_CANCELLED : ERR_UPSTREAM;
    }
    json_t *body = NULL;
    bool parsed = js_parse(answer->body, answer->len, &body, NULL) == ERR_OK;
    if (answer->status >= 200 && answer->status < 300 && parsed && json_is_object(body)) {
        *ret_body = body;
        return ERR_OK;
    }
    const char *code = parsed ? error_code(body) : NULL;
    snprintf(why, WHY_SIZE, "Google's %s answered %d%s%s", request->what, answer->status,
             code ? ", " : "", code ? code : "");
    bool dead = code && strcmp(code, "invalid_grant") == 0;
    json_decref(body);
    return dead ? ERR_UNAUTHENTICATED : ERR_UPSTREAM;
}

static void on_tokens(void *arg, enum err error, const struct http_answer *answer)
{
    AUTOFREE struct request *request = arg;
    AUTOJSON json_t *body = NULL;
    char why[WHY_SIZE] = "";
    struct google_tokens tokens;
    enum err err = judge(request, error, answer, &body, why);
    if (!err && (err = google_read_tokens(body, &tokens)))
        snprintf(why, sizeof(why), "Google's %s gave an answer without a token", request->what);
    request->tokens(request->arg, err, why, err ? NULL : &tokens);
}

static void on_profile(void *arg, enum err error, const struct http_answer *answer)
{
    AUTOFREE struct request *request = arg;
    AUTOJSON json_t *body = NULL, *profile = NULL;
    char why[WHY_SIZE] = "";
    enum err err = judge(request, error, answer, &body, why);
    if (!err && (err = google_read_profile(body, &profile)))
        snprintf(why, sizeof(why), "Google's %s gave an answer without an account", request->what);
    request->profile(request->arg, err == ERR_UNAUTHENTICATED ? ERR_UPSTREAM : err, why,
                     err ? NULL : profile);
}

static void on_revoked(void *arg, enum err error, const struct http_answer *answer)
{
    AUTOFREE struct request *request = arg;
    char why[WHY_SIZE] = "";
    bool good = !error && answer->status >= 200 && answer->status < 300;
    if (error)
        snprintf(why, sizeof(why), "Google's %s gave no answer", request->what);
    else if (!good)
        snprintf(why, sizeof(why), "Google's %s answered %d", request->what, answer->status);
    request->done(request->arg, good ? ERR_OK : ERR_UPSTREAM, why);
}

static struct request *request_new(const struct request *request)
{
    struct request *copy = mem_alloc(sizeof(*copy));
    *copy = *request;
    return copy;
}

static void post_form(struct google *google, const char *url, const char *const *pairs,
                      int64_t timeout_ms, http_done_fn *done, const struct request *request)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    char *form = http_form_encode(pairs);
    const struct http_call call = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = form,
                                   .body_len = strlen(form),
                                   .timeout_ms = timeout_ms,
                                   .answer_max = ANSWER_MAX_BYTES};
    http_client_send(google->http, &call, done, request_new(request));
    mem_free_secret(&form);
}

void google_exchange(struct google *google, const char *code, const char *verifier,
                     const char *redirect_uri, google_tokens_fn *done, void *arg)
{
    const struct settings *s = google->settings;
    const char *const pairs[] = {
        "grant_type",    "authorization_code",    "code",       code,        "code_verifier",
        verifier,        "redirect_uri",          redirect_uri, "client_id", s->google_client_id,
        "client_secret", s->google_client_secret, NULL};
    post_form(google, s->google_token_uri, pairs, CALL_TIMEOUT_MS, on_tokens,
              &(struct request){.what = "token endpoint", .tokens = done, .arg = arg});
}

void google_refresh(struct google *google, const char *refresh_token, google_tokens_fn *done,
                    void *arg)
{
    const struct settings *s = google->settings;
    const char *const pairs[] = {
        "grant_type",        "refresh_token", "refresh_token",         refresh_token, "client_id",
        s->google_client_id, "client_secret", s->google_client_secret, NULL};
    post_form(google, s->google_token_uri, pairs, CALL_TIMEOUT_MS, on_tokens,
              &(struct request){.what = "token endpoint", .tokens = done, .arg = arg});
}

void google_revoke(struct google *google, const char *token, google_done_fn *done, void *arg)
{
    const char *const pairs[] = {"token", token, NULL};
    post_form(google, google->settings->google_revoke_uri, pairs, REVOKE_TIMEOUT_MS, on_revoked,
              &(struct request){.what = "revocation endpoint", .done = done, .arg = arg});
}

void google_userinfo(struct google *google, const char *access_token, google_profile_fn *done,
                     void *arg)
{
    char *bearer = mem_printf("Authorization: Bearer %s", access_token);
    const char *const headers[] = {bearer, "Accept: application/json", NULL};
    const struct http_call call = {.method = "GET",
                                   .url = google->settings->google_userinfo_uri,
                                   .headers = headers,
                                   .timeout_ms = CALL_TIMEOUT_MS,
                                   .answer_max = ANSWER_MAX_BYTES};
    http_client_send(
        google->http, &call, on_profile,
        request_new(&(struct request){.what = "userinfo endpoint", .profile = done, .arg = arg}));
    mem_free_secret(&bearer);
}

/* Tokens go into headers and environments: visible ASCII alone (RFC 6749 appendix A.12). */
static bool token_is_sound(const char *token)
{
    size_t len = 0;
    for (; token[len]; len++)
        if (token[len] <= ' ' || token[len] > '~' || len >= TOKEN_MAX_BYTES)
            return false;
    return len > 0;
}

enum err google_read_tokens(const json_t *body, struct google_tokens *ret_tokens)
{
    const json_t *life = json_object_get(body, "expires_in");
    struct google_tokens tokens = {.access_token = js_str(body, "access_token", ""),
                                   .refresh_token = js_str(body, "refresh_token", NULL),
                                   .scope = js_str(body, "scope", NULL),
                                   .expires_in = DEFAULT_LIFE_S};
    double seconds = json_is_number(life) ? json_number_value(life) : DEFAULT_LIFE_S;
    if (!(seconds >= 0 && seconds <= 365 * 86400.0) || !token_is_sound(tokens.access_token))
        return ERR_UPSTREAM;
    if (tokens.refresh_token && !token_is_sound(tokens.refresh_token))
        return ERR_UPSTREAM;
    tokens.expires_in = (int64_t)seconds;
    *ret_tokens = tokens;
    return ERR_OK;
}

/* Google's newer endpoint says sub and email_verified, its older one id and verified_email. */
enum err google_read_profile(const json_t *body, json_t **ret_profile)
{
    const char *sub = js_str(body, "sub", js_str(body, "id", ""));
    size_t len = strlen(sub);
    if (len == 0 || len > SUB_MAX_BYTES)
        return ERR_UPSTREAM;
    bool verified = js_bool(body, "email_verified", js_bool(body, "verified_email", false)) ||
                    strcmp(js_str(body, "email_verified", ""), "true") == 0;
    *ret_profile = json_pack("{s:s, s:s, s:s, s:s, s:b}", "sub", sub, "email",
                             js_str(body, "email", ""), "name", js_str(body, "name", ""), "picture",
                             js_str(body, "picture", ""), "email_verified", verified);
    return ERR_OK;
}
