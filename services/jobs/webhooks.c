/* Tells the addresses that came with jobs what became of them: what is due is taken from the store,
 * by a few of each host and each user at a time, so that a receiver that hangs holds up nobody
 * else; sent, signed, and settled. Whatever ends in between is told again when its lease is over.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/crypto.h"
#include "libcommon/http_client.h"
#include "libcommon/http_client_url.h"
#include "libcommon/js_write.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/pg.h"
#include "services/jobs/jobs.h"
#include "services/jobs/store_webhook.h"
#include "services/jobs/webhook.h"
#include "services/outside.h"

enum {
    FLIGHTS_MAX = 64,
    BY_HOST_MAX = 8,
    BY_USER_MAX = 16,
    TURN_MAX = 16,
    TURN_BY_HOST = 4,
    TURN_BY_USER = 8,
    LOOK_MS = 500,
    EXPIRE_MS = 60 * 1000,
    SEND_MS = 15 * 1000, /* well within the lease */
    ANSWER_MAX = 16 * 1024,
    BODY_MAX = 4 << 20,
    NAMES_MAX = 64 << 10,
    DRAIN_MS = 3000,
};

struct flight {
    struct store_webhook_settle settle; /* first: the store gives this back */
    struct webhooks *webhooks;
    struct flight *next, **prev_next;
    struct buf body;
    char host[HTTP_URL_MAX]; /* whole, as the store has it: the limit goes by it */
    char user_id[STORE_USER_MAX + 1], job_id[STORE_ID_MAX + 1];
    int64_t age_ms, began_at, retry_after_ms;
    int status; /* of the answer; 0: none */
};

struct webhooks {
    struct jobs *jobs;
    struct webhook_secrets secrets;
    struct http_client *http;
    bool private_allowed;
    struct loop_timer *timer;
    struct flight *flights;
    size_t count;
    bool taking, expiring;
    int64_t expire_next, drain_until; /* 0: not draining */
    struct metric *told, *failed, *given_up;
};

static void flight_free(struct flight *flight)
{
    *flight->prev_next = flight->next;
    if (flight->next)
        flight->next->prev_next = flight->prev_next;
    flight->webhooks->count--;
    buf_fini(&flight->body);
    free(flight);
}

static void on_settled(struct store_webhook_settle *item)
{
    struct flight *flight = (struct flight *)item;
    struct webhooks *webhooks = flight->webhooks;
    flight_free(flight);
    loop_timer_start(webhooks->timer, 0);
}

static void settle(struct flight *flight, int64_t wait_ms)
{
    flight->settle.wait_ms = wait_ms;
    flight->settle.done = on_settled;
    if (store_webhook_settle(flight->webhooks->jobs->store, &flight->settle))
        flight_free(flight);
}

static void give_up(struct flight *flight, const char *event, const char *why)
{
    log_warning(event, LOG_S("job_id", flight->job_id), LOG_S("webhook_id", flight->settle.id),
                LOG_S("host", flight->host), LOG_I("attempts", flight->settle.attempts),
                LOG_I("status", flight->status), LOG_S("why", why));
    metric_add(flight->webhooks->given_up, 1);
    settle(flight, -1);
}

static void try_later(struct flight *flight, const char *why)
{
    struct webhooks *webhooks = flight->webhooks;
    int64_t took = loop_now(webhooks->jobs->loop) - flight->began_at;
    int64_t wait = webhook_wait_ms(flight->settle.attempts, flight->age_ms + took,
                                   flight->retry_after_ms, crypto_random_u64());
    metric_add(webhooks->failed, 1);
    if (wait < 0) {
        give_up(flight, "webhook_given_up", why);
        return;
    }
    log_debug("webhook_failed", LOG_S("job_id", flight->job_id), LOG_S("host", flight->host),
              LOG_I("attempts", flight->settle.attempts), LOG_I("status", flight->status),
              LOG_I("wait_ms", wait), LOG_S("why", why));
    settle(flight, wait);
}

/* The head alone counts: a body that drips or is endless changes nothing about it. */
static enum http_body on_head(void *arg, const struct http_answer *head)
{
    struct flight *flight = arg;
    flight->status = head->status;
    flight->retry_after_ms = head->retry_after_ms;
    return HTTP_BODY_GATHER;
}

static void on_answer(void *arg, enum err error, const struct http_answer *answer)
{
    struct flight *flight = arg;
    if (error == ERR_CANCELLED) {
        flight_free(flight); /* we stop; its lease ends by itself */
    } else if (flight->status >= 200 && flight->status < 300) {
        metric_add(flight->webhooks->told, 1);
        settle(flight, -1);
    } else if (flight->status == 410) {
        give_up(flight, "webhook_gone", "the receiver wants no more of it");
    } else if (!flight->status && error == ERR_INVALID) {
        give_up(flight, "webhook_refused", answer->error);
    } else {
        try_later(flight, flight->status ? "" : answer->error);
    }
}

static void write_body(struct buf *body, const struct store_webhook *webhook)
{
    buf_init(body, BODY_MAX);
    buf_add_char(body, '{');
    js_add_member(body, "type", webhook->type);
    js_add_member(body, "timestamp", webhook->created_at);
    if (webhook->job.cut)
        buf_add_str(body, ",\"truncated\":true");
    js_add_key(body, "data");
    jobs_add_job(body, &webhook->job);
    buf_add_char(body, '}');
}

static bool is_allowed(const struct webhooks *webhooks, const char *text)
{
    struct http_url url;
    return http_url_parse(text, &url) == ERR_OK &&
           (webhooks->private_allowed || (url.https && !http_url_is_internal(&url)));
}

static void post(struct flight *flight, const char *url)
{
    struct webhooks *webhooks = flight->webhooks;
    const char *id = flight->settle.id, *body = buf_text(&flight->body);
    int64_t now = time(NULL);
    char signatures[WEBHOOK_SIGNATURES_MAX];
    webhook_sign(&webhooks->secrets, id, now, body, flight->body.len, signatures);
    AUTOFREE char *id_line = mem_printf("webhook-id: %s", id);
    AUTOFREE char *time_line = mem_printf("webhook-timestamp: %" PRId64, now);
    AUTOFREE char *signature_line = mem_printf("webhook-signature: %s", signatures);
    static const char agent[] = "User-Agent: mcpbus/" MCPBUS_VERSION;
    const char *const headers[] = {
        id_line, time_line, signature_line, "Content-Type: application/json", agent, NULL};
    http_client_send(webhooks->http,
                     &(struct http_call){.method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .body = body,
                                         .body_len = flight->body.len,
                                         .body_kept = true,
                                         .timeout_ms = SEND_MS,
                                         .answer_max = ANSWER_MAX,
                                         .repeatable = true,
                                         .public_only = !webhooks->private_allowed,
                                         .on_head = on_head,
                                         .arg = flight},
                     on_answer, flight);
}

static void begin(struct webhooks *webhooks, const struct store_webhook *webhook)
{
    struct flight *flight = mem_alloc(sizeof(*flight));
    flight->webhooks = webhooks;
    flight->next = webhooks->flights;
    flight->prev_next = &webhooks->flights;
    if (flight->next)
        flight->next->prev_next = &flight->next;
    webhooks->flights = flight;
    webhooks->count++;
    flight->settle.attempts = webhook->attempts;
    flight->age_ms = webhook->age_ms;
    flight->began_at = loop_now(webhooks->jobs->loop);
    flight->retry_after_ms = -1;
    snprintf(flight->settle.id, sizeof(flight->settle.id), "%s", webhook->id);
    snprintf(flight->host, sizeof(flight->host), "%s", webhook->host);
    if (webhook->stale) {
        settle(flight, -1);
        return;
    }
    snprintf(flight->job_id, sizeof(flight->job_id), "%s", webhook->job.job_id);
    snprintf(flight->user_id, sizeof(flight->user_id), "%s", webhook->job.user_id);
    write_body(&flight->body, webhook);
    if (buf_check(&flight->body))
        give_up(flight, "webhook_refused", "the job is too large");
    else if (!is_allowed(webhooks, webhook->url))
        give_up(flight, "webhook_refused", "the address may not be called");
    else
        post(flight, webhook->url);
}

static void on_taken(void *arg, enum err error, const struct store_webhook *taken, size_t count)
{
    struct webhooks *webhooks = arg;
    webhooks->taking = false;
    if (error == ERR_CANCELLED || webhooks->drain_until)
        return;
    for (size_t i = 0; i < count; i++)
        begin(webhooks, &taken[i]);
    loop_timer_start(webhooks->timer, count > 0 ? 0 : LOOK_MS);
}

/* Those that have as many under way as they may: hosts, or users. */
static void write_busy(const struct webhooks *webhooks, size_t place, size_t most, struct buf *out)
{
    pg_array_begin(out);
    for (const struct flight *one = webhooks->flights; one; one = one->next) {
        const char *name = (const char *)one + place;
        size_t count = 0;
        for (const struct flight *other = one; other; other = other->next)
            count += strcmp((const char *)other + place, name) == 0;
        if (count == most)
            pg_array_add(out, name, strlen(name));
    }
    pg_array_end(out);
}

static void take(struct webhooks *webhooks)
{
    size_t room = FLIGHTS_MAX - webhooks->count;
    struct buf hosts, users;
    buf_init(&hosts, NAMES_MAX);
    buf_init(&users, NAMES_MAX);
    write_busy(webhooks, offsetof(struct flight, host), BY_HOST_MAX, &hosts);
    write_busy(webhooks, offsetof(struct flight, user_id), BY_USER_MAX, &users);
    webhooks->taking = true;
    store_webhooks_take(
        webhooks->jobs->store,
        &(struct store_webhook_take){.hosts = buf_text(&hosts),
                                     .users = buf_text(&users),
                                     .count = room < TURN_MAX ? (int64_t)room : TURN_MAX,
                                     .by_host = TURN_BY_HOST,
                                     .by_user = TURN_BY_USER},
        on_taken, webhooks);
    buf_fini(&hosts);
    buf_fini(&users);
}

static void on_expired(void *arg, enum err error, int64_t count)
{
    struct webhooks *webhooks = arg;
    webhooks->expiring = false;
    if (!error && count > 0)
        log_warning("webhooks_expired", LOG_I("count", count));
}

static void on_timer(void *arg)
{
    struct webhooks *webhooks = arg;
    const struct jobs *jobs = webhooks->jobs;
    int64_t now = loop_now(jobs->loop);
    if (webhooks->drain_until || webhooks->taking)
        return;
    loop_timer_start(webhooks->timer, LOOK_MS);
    if (!store_ready(jobs->store))
        return;
    if (!webhooks->expiring && now >= webhooks->expire_next) {
        webhooks->expiring = true;
        webhooks->expire_next = now + EXPIRE_MS;
        store_webhooks_expire(jobs->store, on_expired, webhooks);
    }
    if (webhooks->secrets.count > 0 && webhooks->count < FLIGHTS_MAX)
        take(webhooks);
}

enum err webhooks_new(struct jobs *jobs, struct webhooks **ret_webhooks)
{
    const struct settings *settings = jobs->settings;
    struct webhook_secrets secrets;
    if (!outside_settings_are_good("mcpbus-jobs", settings))
        return ERR_INVALID;
    if (webhook_secrets_read(settings->webhook_secret, &secrets)) {
        fprintf(stderr, "mcpbus-jobs: WEBHOOK_SECRET takes whsec_ and 24 to 64 bytes in base64, or "
                        "two of them with a comma\n");
        return ERR_INVALID;
    }
    struct webhooks *webhooks = mem_alloc(sizeof(*webhooks));
    webhooks->jobs = jobs;
    webhooks->secrets = secrets;
    webhooks->private_allowed = strcmp(settings->webhook_private, "allow") == 0;
    struct http_client_options options = outside_options(settings, FLIGHTS_MAX);
    webhooks->http = http_client_new(jobs->loop, &options);
    webhooks->told =
        metric_counter("mcpbus_webhooks_delivered_total", NULL, "Webhooks that were received.");
    webhooks->failed =
        metric_counter("mcpbus_webhooks_failed_total", NULL, "Attempts to tell that failed.");
    webhooks->given_up =
        metric_counter("mcpbus_webhooks_given_up_total", NULL, "Webhooks never received.");
    webhooks->timer = loop_timer_new(jobs->loop, on_timer, webhooks);
    loop_timer_start(webhooks->timer, LOOK_MS);
    *ret_webhooks = webhooks;
    return ERR_OK;
}

bool webhooks_configured(const struct webhooks *webhooks)
{
    return webhooks->secrets.count > 0;
}

bool webhooks_drain(struct webhooks *webhooks)
{
    int64_t now = loop_now(webhooks->jobs->loop);
    if (!webhooks->drain_until)
        webhooks->drain_until = now + DRAIN_MS;
    return webhooks->count == 0 || now >= webhooks->drain_until;
}

void webhooks_destroy(struct webhooks **webhooks_p)
{
    struct webhooks *webhooks = *webhooks_p;
    if (!webhooks)
        return;
    *webhooks_p = NULL;
    http_client_destroy(&webhooks->http);
    struct flight *next;
    for (struct flight *flight = webhooks->flights; flight; flight = next) {
        next = flight->next; /* those that were being settled */
        flight_free(flight);
    }
    loop_timer_destroy(&webhooks->timer);
    webhook_secrets_fini(&webhooks->secrets);
    free(webhooks);
}
