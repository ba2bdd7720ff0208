#include "services/google/access.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

enum {
    EARLY_MS = 30 * 1000, /* refresh so long before the end */
    ANSWER_MAX = 64 * 1024,
    TOKEN_MAX = 16384,
    YEAR_SECONDS = 365 * 86400,
};

static const char not_signed_in[] =
    "You are not signed in to Google: there is no access token. Sign in and try again.";
static const char sign_in_again[] =
    "Google no longer accepts this sign-in: it has expired or was revoked. Sign in again.";

static const char not_this_client[] =
    "Google does not accept this application's OAuth client (GOOGLE_CLIENT_ID and "
    "GOOGLE_CLIENT_SECRET), so access can't be renewed.";

struct access {
    const struct google_config *config;
    struct fetcher *fetcher;
    char *token;           /* NULL: none */
    int64_t expires_at_ms; /* 0: unknown */
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct access *access_new(const struct google_config *config, struct fetcher *fetcher)
{
    struct access *access = mem_alloc(sizeof *access);
    access->config = config;
    access->fetcher = fetcher;
    access->token = mem_strdup_opt(config->access_token);
    access->expires_at_ms = config->expires_at_ms;
    return access;
}

void access_destroy(struct access **access_p)
{
    if (!*access_p)
        return;
    mem_free_secret(&(*access_p)->token);
    free(*access_p);
    *access_p = NULL;
}

bool access_can_refresh(const struct access *access)
{
    return access->config->refresh_token && access->config->client_id;
}

static bool is_header_safe(const char *token)
{
    size_t len = strlen(token);
    if (!len || len > TOKEN_MAX)
        return false;
    for (; *token; token++)
        if (*token <= ' ' || *token > '~')
            return false;
    return true;
}

static enum err take_token(struct access *access, const struct http_answer *answer)
{
    AUTOJSON json_t *json = NULL;
    if (js_parse(answer->body, answer->len, &json, NULL) != ERR_OK)
        return ERR_UPSTREAM;
    const char *token = js_str(json, "access_token", "");
    int64_t seconds = js_int(json, "expires_in", 0);
    if (!is_header_safe(token))
        return ERR_UPSTREAM;
    mem_free_secret(&access->token);
    access->token = mem_strdup(token);
    access->expires_at_ms = seconds > 0 && seconds < YEAR_SECONDS ? wall_ms() + seconds * 1000 : 0;
    return ERR_OK;
}

static enum err ask(struct access *access, int64_t timeout_ms, struct fetched *ret_fetched)
{
    const struct google_config *config = access->config;
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    const char *pairs[] = {"grant_type",
                           "refresh_token",
                           "refresh_token",
                           config->refresh_token,
                           "client_id",
                           config->client_id,
                           config->client_secret ? "client_secret" : NULL,
                           config->client_secret,
                           NULL};
    char *form = http_form_encode(pairs);
    struct http_call call = {.method = "POST",
                             .url = config->token_uri,
                             .headers = headers,
                             .body = form,
                             .body_len = strlen(form),
                             .timeout_ms = timeout_ms,
                             .answer_max = ANSWER_MAX,
                             .repeatable = true};
    enum err err = fetch(access->fetcher, &call, ret_fetched);
    mem_free_secret(&form);
    return err;
}

/* RFC 6749 §5.2: what is refused is the application, not the user's grant. */
static bool is_client_error(const struct http_answer *answer)
{
    AUTOJSON json_t *json = NULL;
    if (answer->status == 200 || js_parse(answer->body, answer->len, &json, NULL) != ERR_OK)
        return false;
    const char *error = js_str(json, "error", "");
    return strcmp(error, "invalid_client") == 0 || strcmp(error, "unauthorized_client") == 0;
}

enum err access_refresh(struct access *access, int64_t timeout_ms, char ret_why[ACCESS_WHY_SIZE])
{
    struct fetched fetched;
    if (!access_can_refresh(access)) {
        snprintf(ret_why, ACCESS_WHY_SIZE, "%s", access->token ? sign_in_again : not_signed_in);
        return ERR_UNAUTHENTICATED;
    }
    enum err err = ask(access, timeout_ms, &fetched);
    if (err) {
        snprintf(ret_why, ACCESS_WHY_SIZE, "Google's sign-in service could not be reached: %s",
                 err == ERR_CANCELLED ? "cancelled" : fetched.answer.error);
        fetched_free(&fetched);
        return err == ERR_CANCELLED ? err : ERR_UPSTREAM;
    }
    int status = fetched.answer.status;
    bool client = is_client_error(&fetched.answer);
    if (status == 200)
        err = take_token(access, &fetched.answer);
    else
        err = status == 400 || status == 401 ? ERR_UNAUTHENTICATED : ERR_UPSTREAM;
    fetched_free(&fetched);
    log_info("token_refreshed", LOG_I("status", status), LOG_S("outcome", err_name(err)));
    if (err == ERR_UNAUTHENTICATED)
        snprintf(ret_why, ACCESS_WHY_SIZE, "%s", client ? not_this_client : sign_in_again);
    else if (err)
        snprintf(ret_why, ACCESS_WHY_SIZE,
                 "Google's sign-in service has a problem (HTTP %d). Try again later.", status);
    return err;
}

enum err access_token(struct access *access, int64_t timeout_ms, const char **ret_token,
                      char ret_why[ACCESS_WHY_SIZE])
{
    bool due =
        !access->token || (access->expires_at_ms && access->expires_at_ms - EARLY_MS <= wall_ms() &&
                           access_can_refresh(access));
    enum err err = due ? access_refresh(access, timeout_ms, ret_why) : ERR_OK;
    if (!err && !is_header_safe(access->token)) {
        snprintf(ret_why, ACCESS_WHY_SIZE, "%s", sign_in_again);
        err = ERR_UNAUTHENTICATED;
    }
    if (err)
        return err;
    *ret_token = access->token;
    return ERR_OK;
}
