#include "services/google/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/google/api_answer.h"

enum {
    REQUEST_MS = 30 * 1000,
    ANSWER_MAX = 32 * 1024 * 1024,
    ATTEMPTS = 4,
    BACKOFF_MS = 300,        /* doubles, plus up to as much again at random */
    PATIENCE_MS = 15 * 1000, /* a longer Retry-After ends the call */
    PAGES_MAX = 60,
    QUERY_MAX = 64 * 1024,
    ID_MAX = 256,
};

struct api {
    const struct google_config *config;
    struct http_client_options http;
    struct access *access;
    int64_t deadline_ms;
};

static const char *const hosts[] = {
    [API_GMAIL] = "https://gmail.googleapis.com",
    [API_DRIVE] = "https://www.googleapis.com",
    [API_CALENDAR] = "https://www.googleapis.com",
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct api *api_new(const struct google_config *config)
{
    struct api *api = mem_alloc(sizeof *api);
    api->config = config;
    api->http.proxy = config->proxy;
    api->http.ca_bundle = config->ca_bundle;
    api->access = access_new(config, &api->http);
    api_begin(api);
    return api;
}

void api_destroy(struct api **api_p)
{
    if (!*api_p)
        return;
    access_destroy(&(*api_p)->access);
    free(*api_p);
    *api_p = NULL;
}

void api_begin(struct api *api)
{
    api->deadline_ms = now_ms() + API_TOTAL_MS;
}

static int64_t time_left(const struct api *api)
{
    int64_t left = api->deadline_ms - now_ms();
    return left > REQUEST_MS ? REQUEST_MS : left;
}

static char *make_url(const struct api *api, const struct api_request *request)
{
    const char *base = api->config->api_base ? api->config->api_base : hosts[request->host];
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    bool query = request->query && *request->query;
    return mem_printf("%.*s%s%s%s", (int)len, base, request->path, query ? "?" : "",
                      query ? request->query : "");
}

/* One exchange, without any repetition. */
static enum err exchange(struct api *api, const struct api_request *request, const char *token,
                         struct http_answer_owned *ret_answer)
{
    AUTOFREE char *url = make_url(api, request);
    AUTOFREE char *body = request->body ? js_dump(request->body) : NULL;
    char *bearer = mem_printf("Authorization: Bearer %s", token);
    const char *headers[] = {bearer, "Accept: application/json",
                             body ? "Content-Type: application/json" : NULL, NULL};
    struct http_call call = {.method = request->method ? request->method : "GET",
                             .url = url,
                             .headers = headers,
                             .body = body,
                             .body_len = body ? strlen(body) : 0,
                             .timeout_ms = time_left(api),
                             .answer_max = ANSWER_MAX};
    enum err err = http_fetch(&api->http, &call, ret_answer);
    mem_free_secret(&bearer);
    return err;
}

static struct api_verdict no_answer(enum err err, const char *reason, char *ret_why)
{
    if (err == ERR_TOO_LARGE)
        snprintf(ret_why, API_WHY_SIZE, "Google's answer is too large.");
    else if (err == ERR_TIMEOUT)
        snprintf(ret_why, API_WHY_SIZE, "Google did not answer in time. Try again later.");
    else
        snprintf(ret_why, API_WHY_SIZE, "Google could not be reached: %s", reason);
    return (struct api_verdict){err == ERR_TOO_LARGE || err == ERR_TIMEOUT ? err : ERR_UPSTREAM,
                                err == ERR_PEER_LOST};
}

/* An exchange with the token of now; a refused one is refreshed, once. */
static struct api_verdict attempt(struct api *api, const struct api_request *request,
                                  json_t **ret_json, int64_t *ret_wait_ms, char *ret_why)
{
    for (bool fresh = false;; fresh = true) {
        struct http_answer_owned owned;
        const char *token = NULL;
        enum err err = access_token(api->access, time_left(api), &token, ret_why);
        if (err)
            return (struct api_verdict){err, false};
        err = exchange(api, request, token, &owned);
        *ret_wait_ms = owned.answer.retry_after_ms;
        if (err)
            return no_answer(err, owned.answer.error, ret_why);
        struct api_verdict verdict = api_read_answer(&owned.answer, ret_json, ret_why);
        log_debug("google_answered", LOG_S("path", request->path),
                  LOG_I("status", owned.answer.status));
        http_answer_free(&owned);
        if (verdict.error != ERR_UNAUTHENTICATED || fresh || !access_can_refresh(api->access))
            return verdict;
        err = access_refresh(api->access, time_left(api), ret_why);
        if (err)
            return (struct api_verdict){err, false};
    }
}

static void sleep_ms(int64_t ms)
{
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&rest, NULL);
}

/* How long to wait before the next attempt; −1: there is none. */
static int64_t next_wait(const struct api *api, int number, int64_t asked_ms)
{
    int64_t backoff = (int64_t)BACKOFF_MS << number;
    int64_t wait = asked_ms >= 0 ? asked_ms : backoff;
    wait += (int64_t)(crypto_random_u64() % (uint64_t)backoff);
    bool late = now_ms() + wait >= api->deadline_ms;
    return number + 1 >= ATTEMPTS || asked_ms > PATIENCE_MS || late ? -1 : wait;
}

enum err api_call(struct api *api, const struct api_request *request, json_t **ret_json,
                  char ret_why[API_WHY_SIZE])
{
    bool get = !request->method || strcmp(request->method, "GET") == 0;
    for (int number = 0;; number++) {
        if (time_left(api) <= 0) {
            snprintf(ret_why, API_WHY_SIZE, "Google took too long. Try again later.");
            return ERR_TIMEOUT;
        }
        int64_t asked_ms = -1;
        struct api_verdict verdict = attempt(api, request, ret_json, &asked_ms, ret_why);
        int64_t wait =
            verdict.error && verdict.passing && get ? next_wait(api, number, asked_ms) : -1;
        if (wait < 0)
            return verdict.error;
        log_info("google_retried", LOG_S("path", request->path),
                 LOG_S("error", err_name(verdict.error)), LOG_I("wait_ms", wait));
        sleep_ms(wait);
    }
}

/* Lists */

void query_add(struct buf *query, const char *name, const char *value)
{
    AUTOFREE char *encoded = http_url_encode(value);
    buf_printf(query, "%s%s=%s", query->len ? "&" : "", name, encoded);
}

void query_add_int(struct buf *query, const char *name, int64_t value)
{
    buf_printf(query, "%s%s=%lld", query->len ? "&" : "", name, (long long)value);
}

static enum err get_page(struct api *api, const struct api_list *list, const char *token,
                         int64_t left, json_t **ret_page, char *ret_why)
{
    struct buf query;
    struct api_request request = list->request;
    buf_init(&query, QUERY_MAX);
    buf_add_str(&query, request.query ? request.query : "");
    query_add_int(&query, list->page_size, left < list->page_max ? left : list->page_max);
    if (*token)
        query_add(&query, "pageToken", token);
    request.query = buf_text(&query);
    enum err err = buf_check(&query);
    if (err)
        snprintf(ret_why, API_WHY_SIZE, "The request is too long.");
    else
        err = api_call(api, &request, ret_page, ret_why);
    buf_fini(&query);
    return err;
}

/* Passes the page's entries on; false when no more are wanted. */
static bool take_page(const struct api_list *list, const json_t *page, int64_t *left,
                      bool *ret_more)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(page, list->items), i, item)
    {
        if (*left == 0 || !list->fn(list->arg, item)) {
            *ret_more = true;
            return false;
        }
        --*left;
    }
    return true;
}

enum err api_list(struct api *api, const struct api_list *list, bool *ret_more,
                  char ret_why[API_WHY_SIZE])
{
    AUTOFREE char *token = mem_strdup("");
    int64_t left = list->max;
    *ret_more = false;
    for (int number = 0; number < PAGES_MAX; number++) {
        AUTOJSON json_t *page = NULL;
        enum err err = get_page(api, list, token, left, &page, ret_why);
        if (err)
            return err;
        const char *next = js_str(page, "nextPageToken", "");
        if (!take_page(list, page, &left, ret_more))
            return ERR_OK;
        bool same = strcmp(next, token) == 0;
        *ret_more = *next && !same;
        if (!*ret_more || left == 0)
            return ERR_OK;
        free(token);
        token = mem_strdup(next);
    }
    return ERR_OK;
}

bool api_is_id(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len > 0 && len <= ID_MAX && !id[len];
}
