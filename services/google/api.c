#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/google/api_answer.h"
#include "services/google/api_internal.h"

enum {
    REQUEST_MS = 30 * 1000,
    ANSWER_MAX = 48 * 1024 * 1024, /* Gmail's largest attachment, 25 MB, as base64 in JSON */
    ATTEMPTS = 4,
    BACKOFF_MS = 400, /* doubles, plus up to as much again at random */
    BACKOFF_MAX_MS = 8 * 1000,
    PATIENCE_MS = 15 * 1000, /* a longer Retry-After ends the call */
    ID_MAX = 256,
};

static const char *const hosts[] = {
    [API_GMAIL] = "https://gmail.googleapis.com",   [API_DRIVE] = "https://www.googleapis.com",
    [API_CALENDAR] = "https://www.googleapis.com",  [API_DOCS] = "https://docs.googleapis.com",
    [API_SHEETS] = "https://sheets.googleapis.com",
};

int64_t api_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct api *api_new(struct loop *loop, const struct google_config *config)
{
    struct http_client_options http = {
        .proxy = config->proxy, .no_proxy = config->no_proxy, .ca_bundle = config->ca_bundle};
    struct api *api = mem_alloc(sizeof *api);
    api->config = config;
    api->loop = loop;
    api->fetcher = fetcher_new(loop, &http);
    api->access = access_new(config, api->fetcher);
    api_begin(api, NULL);
    return api;
}

void api_destroy(struct api **api_p)
{
    if (!*api_p)
        return;
    access_destroy(&(*api_p)->access);
    fetcher_destroy(&(*api_p)->fetcher);
    free(*api_p);
    *api_p = NULL;
}

const struct google_config *api_config(const struct api *api)
{
    return api->config;
}

uint32_t api_scopes(const struct api *api)
{
    return api->config->scopes;
}

void api_begin(struct api *api, const struct api_caller *caller)
{
    api->caller = caller ? *caller : (struct api_caller){0};
    fetcher_watch(api->fetcher, api->caller.cancelled, api->caller.arg);
    api->deadline_ms = api_now_ms() + API_TOTAL_MS;
}

void api_progress(struct api *api, double done, double total, const char *text)
{
    if (api->caller.progress)
        api->caller.progress(api->caller.arg, done, total, text);
}

static int64_t time_left(const struct api *api, int64_t most)
{
    int64_t left = api->deadline_ms - api_now_ms();
    return left > most ? most : left;
}

struct readable {
    const struct api *api;
    bool ready, cancelled;
};

static void on_readable(void *arg, uint32_t events)
{
    (void)events;
    struct readable *readable = arg;
    readable->ready = true;
}

static bool is_readable(void *arg)
{
    struct readable *readable = arg;
    const struct api_caller *caller = &readable->api->caller;
    readable->cancelled = caller->cancelled && caller->cancelled(caller->arg);
    return readable->ready || readable->cancelled;
}

enum err api_wait_readable(struct api *api, int fd, int64_t ms)
{
    struct readable readable = {.api = api};
    int64_t left = time_left(api, ms);
    loop_fd_add(api->loop, fd, EPOLLIN, on_readable, &readable);
    loop_wait_until(api->loop, is_readable, &readable, left > 0 ? left : 0);
    loop_fd_remove(api->loop, fd);
    return readable.cancelled ? ERR_CANCELLED : readable.ready ? ERR_OK : ERR_TIMEOUT;
}

/* Google's own address stands for all its hosts: Docs and Sheets are not served there. */
static bool is_google(const char *base)
{
    static const char own[] = "https://www.googleapis.com";
    size_t len = sizeof own - 1;
    return strncmp(base, own, len) == 0 && !base[len + strspn(base + len, "/")];
}

char *api_url(const struct api *api, enum api_host host, const char *path, const char *query)
{
    const char *given = api->config->api_base;
    const char *base = given && !is_google(given) ? given : hosts[host];
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    bool has_query = query && *query;
    return mem_printf("%.*s%s%s%s", (int)len, base, path, has_query ? "?" : "",
                      has_query ? query : "");
}

/* NULL when there is no value. */
static char *header(const char *name, const char *value)
{
    return value ? mem_printf("%s: %s", name, value) : NULL;
}

/* One exchange, without any repetition. */
static enum err send_once(struct api *api, const struct exchange *exchange, const char *token,
                          struct fetched *ret_fetched)
{
    char *bearer = mem_printf("Authorization: Bearer %s", token);
    AUTOFREE char *accept =
        mem_printf("Accept: %s", exchange->accept ? exchange->accept : "application/json");
    AUTOFREE char *type = header("Content-Type", exchange->content_type);
    AUTOFREE char *range = header("Content-Range", exchange->content_range);
    AUTOFREE char *match = header("If-Match", exchange->if_match);
    const char *const optional[] = {type, range, match};
    const char *headers[6] = {bearer, accept};
    int count = 2;
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (optional[i])
            headers[count++] = optional[i];
    struct http_call call = {
        .method = exchange->method,
        .url = exchange->url,
        .headers = headers,
        .body = exchange->body,
        .body_len = exchange->len,
        .timeout_ms = time_left(api, exchange->timeout_ms ? exchange->timeout_ms : REQUEST_MS),
        .answer_max = exchange->answer_max ? exchange->answer_max : ANSWER_MAX,
        .repeatable = exchange->repeatable,
        .on_data = exchange->on_data,
        .arg = exchange->arg};
    enum err err = fetch(api->fetcher, &call, ret_fetched);
    mem_free_secret(&bearer);
    return err;
}

enum err api_renew(struct api *api, char *ret_why)
{
    return access_refresh(api->access, time_left(api, REQUEST_MS), ret_why);
}

static struct api_verdict no_token(enum err err)
{
    return (struct api_verdict){.error = err, .passing = err == ERR_UPSTREAM, .not_done = true};
}

/* An exchange with the token of now; a refused one is refreshed, once. */
static struct api_verdict attempt(struct api *api, const struct exchange *exchange,
                                  struct fetched *ret_fetched, char *ret_why)
{
    for (bool fresh = false;; fresh = true) {
        const char *token = NULL;
        enum err err = access_token(api->access, time_left(api, REQUEST_MS), &token, ret_why);
        if (err)
            return no_token(err);
        err = send_once(api, exchange, token, ret_fetched);
        if (err)
            return api_no_answer(err, ret_fetched->answer.error, ret_why);
        struct api_verdict verdict = api_judge(&ret_fetched->answer, ret_why);
        log_debug("google_answered", LOG_I("status", ret_fetched->answer.status));
        if (verdict.error != ERR_UNAUTHENTICATED || fresh || !access_can_refresh(api->access))
            return verdict;
        fetched_free(ret_fetched);
        err = api_renew(api, ret_why);
        if (err)
            return no_token(err);
    }
}

int64_t api_next_wait(const struct api *api, int number, int64_t asked_ms)
{
    int64_t backoff = (int64_t)BACKOFF_MS << number;
    if (backoff > BACKOFF_MAX_MS)
        backoff = BACKOFF_MAX_MS;
    int64_t wait = asked_ms >= 0 ? asked_ms : backoff;
    wait += (int64_t)(crypto_random_u64() % (uint64_t)backoff);
    bool late = api_now_ms() + wait >= api->deadline_ms;
    return number + 1 >= ATTEMPTS || asked_ms > PATIENCE_MS || late ? -1 : wait;
}

static bool is_safe_to_repeat(const struct exchange *exchange)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(exchange->method, methods[i]) == 0)
            return true;
    return exchange->repeatable;
}

/* After this verdict, may the exchange take place once more? */
static bool may_repeat(const struct exchange *exchange, const struct api_verdict *verdict)
{
    return verdict->error && verdict->passing &&
           (verdict->not_done || is_safe_to_repeat(exchange)) &&
           (!exchange->on_data || (exchange->restart && exchange->restart(exchange->arg)));
}

static void add_doubt(const struct exchange *exchange, const struct api_verdict *verdict,
                      char *ret_why)
{
    size_t len = strlen(ret_why);
    if (verdict->unknown && !is_safe_to_repeat(exchange))
        snprintf(ret_why + len, API_WHY_SIZE - len,
                 " It is not known whether it was carried out: check before you try again.");
}

enum err api_exchange(struct api *api, const struct exchange *exchange, struct fetched *ret_fetched,
                      char *ret_why)
{
    for (int number = 0;; number++) {
        struct fetched fetched = {.answer.retry_after_ms = -1};
        if (time_left(api, REQUEST_MS) <= 0) {
            snprintf(ret_why, API_WHY_SIZE, "Google took too long. Try again later.");
            return ERR_TIMEOUT;
        }
        struct api_verdict verdict = attempt(api, exchange, &fetched, ret_why);
        if (!verdict.error) {
            *ret_fetched = fetched;
            return ERR_OK;
        }
        int64_t asked_ms = fetched.answer.retry_after_ms;
        fetched_free(&fetched);
        int64_t wait = may_repeat(exchange, &verdict) ? api_next_wait(api, number, asked_ms) : -1;
        if (wait < 0) {
            add_doubt(exchange, &verdict, ret_why);
            return verdict.error;
        }
        log_info("google_retried", LOG_S("error", err_name(verdict.error)), LOG_I("wait_ms", wait));
        if (fetch_pause(api->fetcher, wait) != ERR_OK)
            return api_no_answer(ERR_CANCELLED, "", ret_why).error;
    }
}

enum err api_exchange_json(struct api *api, const struct exchange *exchange, json_t **ret_json,
                           char *ret_why)
{
    struct fetched fetched;
    enum err err = api_exchange(api, exchange, &fetched, ret_why);
    if (err)
        return err;
    err = api_read_json(&fetched.answer, ret_json, ret_why);
    fetched_free(&fetched);
    return err;
}

enum err api_call(struct api *api, const struct api_request *request, json_t **ret_json,
                  char ret_why[API_WHY_SIZE])
{
    AUTOFREE char *url = api_url(api, request->host, request->path, request->query);
    AUTOFREE char *body = request->body ? js_dump(request->body) : NULL;
    struct exchange exchange = {.method = request->method ? request->method : "GET",
                                .url = url,
                                .content_type = body ? "application/json" : NULL,
                                .body = body,
                                .len = body ? strlen(body) : 0,
                                .if_match = request->if_match,
                                .repeatable = request->repeatable};
    return api_exchange_json(api, &exchange, ret_json, ret_why);
}

bool api_is_id(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len > 0 && len <= ID_MAX && !id[len];
}
