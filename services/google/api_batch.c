#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "services/google/api_answer.h"
#include "services/google/api_internal.h"
#include "services/google/batch.h"

enum { REQUESTS_MAX = 4 * 1024 * 1024, ROUNDS = 4 };

/* Each API has an endpoint of its own; Gmail's is not on the host of its methods. */
static const struct {
    enum api_host host;
    const char *path;
} endpoints[] = {
    [API_GMAIL] = {API_DRIVE, "/batch/gmail/v1"},
    [API_DRIVE] = {API_DRIVE, "/batch/drive/v3"},
    [API_CALENDAR] = {API_CALENDAR, "/batch/calendar/v3"},
    [API_DOCS] = {API_DOCS, "/batch"},
    [API_SHEETS] = {API_SHEETS, "/batch"},
};

/* The calls of one round trip, by their place in the whole. */
struct round {
    const struct api_request *requests;
    struct api_outcome *outcomes;
    size_t places[API_BATCH_MAX], count;
    bool refused; /* a call, for its token, and another can be had */
    bool renewed; /* that was done: it is done once */
};

static bool is_repeatable(const struct api_request *request)
{
    return !request->method || strcmp(request->method, "POST") != 0 || request->repeatable;
}

static enum err build(const struct round *round, const char *boundary, struct buf *out,
                      char *ret_why)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct api_request *request = &round->requests[round->places[i]];
        bool query = request->query && *request->query;
        AUTOFREE char *target =
            mem_printf("%s%s%s", request->path, query ? "?" : "", query ? request->query : "");
        AUTOFREE char *body = request->body ? js_dump(request->body) : NULL;
        batch_add(out, boundary, i, request->method ? request->method : "GET", target, body);
    }
    batch_end(out, boundary);
    if (buf_check(out) == ERR_OK)
        return ERR_OK;
    snprintf(ret_why, API_WHY_SIZE, "The requests are too long.");
    return ERR_TOO_LARGE;
}

static enum err send_round(struct api *api, const struct round *round, struct fetched *ret_fetched,
                           char *ret_why)
{
    char boundary[40];
    struct buf body;
    bool repeatable = true;
    enum api_host host = round->requests[round->places[0]].host;
    for (size_t i = 0; i < round->count; i++)
        repeatable = repeatable && is_repeatable(&round->requests[round->places[i]]);
    snprintf(boundary, sizeof boundary, "batch_%016llx", (unsigned long long)crypto_random_u64());
    AUTOFREE char *type = mem_printf("multipart/mixed; boundary=%s", boundary);
    AUTOFREE char *url = api_url(api, endpoints[host].host, endpoints[host].path, NULL);
    buf_init(&body, REQUESTS_MAX);
    enum err err = build(round, boundary, &body, ret_why);
    struct exchange exchange = {.method = "POST",
                                .url = url,
                                .accept = "multipart/mixed",
                                .content_type = type,
                                .body = buf_text(&body),
                                .len = body.len,
                                .repeatable = repeatable};
    if (!err)
        err = api_exchange(api, &exchange, ret_fetched, ret_why);
    buf_fini(&body);
    return err;
}

/* Fills the outcome of one call; true: it should be sent again. */
static bool take_answer(const struct api *api, struct round *round, size_t place,
                        const struct batch_answer *got)
{
    struct api_outcome *outcome = &round->outcomes[place];
    struct http_answer answer = {.status = got->status, .body = got->body, .len = got->len};
    if (!got->status) {
        snprintf(outcome->why, API_WHY_SIZE, "Google did not answer this call.");
        outcome->error = ERR_UPSTREAM;
        return is_repeatable(&round->requests[place]);
    }
    struct api_verdict verdict = api_judge(&answer, outcome->why);
    outcome->error = verdict.error;
    if (verdict.error == ERR_UNAUTHENTICATED && !round->renewed &&
        access_can_refresh(api->access)) {
        round->refused = true;
        return true;
    }
    if (!verdict.error)
        outcome->error = api_read_json(&answer, &outcome->json, outcome->why);
    return verdict.passing && (verdict.not_done || is_repeatable(&round->requests[place]));
}

/* Leaves in the round what should be sent again. ERR_NO_SERVICE: it can't be done in batches. */
static enum err do_round(struct api *api, struct round *round, char *ret_why)
{
    struct batch_answer answers[API_BATCH_MAX];
    struct fetched fetched;
    enum err err = send_round(api, round, &fetched, ret_why);
    if (err == ERR_NOT_FOUND || err == ERR_INVALID)
        return ERR_NO_SERVICE;
    if (err)
        return err;
    err = batch_parse(fetched.answer.content_type, fetched.answer.body, fetched.answer.len, answers,
                      round->count);
    size_t left = 0;
    round->refused = false;
    for (size_t i = 0; !err && i < round->count; i++)
        if (take_answer(api, round, round->places[i], &answers[i]))
            round->places[left++] = round->places[i];
    round->count = err ? round->count : left;
    fetched_free(&fetched);
    return err ? ERR_NO_SERVICE : ERR_OK;
}

static enum err one_by_one(struct api *api, const struct round *round, char *ret_why)
{
    for (size_t i = 0; i < round->count; i++) {
        size_t place = round->places[i];
        struct api_outcome *outcome = &round->outcomes[place];
        outcome->error = api_call(api, &round->requests[place], &outcome->json, outcome->why);
        if (outcome->error == ERR_CANCELLED || outcome->error == ERR_UNAUTHENTICATED) {
            snprintf(ret_why, API_WHY_SIZE, "%s", outcome->why);
            return outcome->error;
        }
    }
    return ERR_OK;
}

/* Sends the round until each call has its outcome. */
static enum err finish_round(struct api *api, struct round *round, char *ret_why)
{
    for (int number = 0; round->count; number++) {
        enum err err = do_round(api, round, ret_why);
        api->no_batches = err == ERR_NO_SERVICE;
        if (api->no_batches)
            return one_by_one(api, round, ret_why);
        if (err || !round->count)
            return err;
        if (round->refused) {
            round->renewed = true;
            err = api_renew(api, ret_why);
            if (err)
                return err;
            continue;
        }
        int64_t wait = number + 1 < ROUNDS ? api_next_wait(api, number, -1) : -1;
        if (wait < 0)
            return ERR_OK;
        log_info("google_batch_retried", LOG_I("calls", (int64_t)round->count),
                 LOG_I("wait_ms", wait));
        err = fetch_pause(api->fetcher, wait);
        if (err)
            return api_no_answer(err, "", ret_why).error;
    }
    return ERR_OK;
}

enum err api_batch(struct api *api, const struct api_request *requests, size_t count,
                   struct api_outcome *ret_outcomes, char ret_why[API_WHY_SIZE])
{
    memset(ret_outcomes, 0, count * sizeof *ret_outcomes);
    for (size_t from = 0; from < count;) {
        struct round round = {.requests = requests, .outcomes = ret_outcomes};
        while (from < count && round.count < API_BATCH_MAX)
            round.places[round.count++] = from++;
        enum err err = count == 1 || api->no_batches ? one_by_one(api, &round, ret_why)
                                                     : finish_round(api, &round, ret_why);
        if (err) {
            api_outcomes_free(ret_outcomes, count);
            return err;
        }
        if (count > API_BATCH_MAX)
            api_progress(api, (double)from, (double)count, NULL);
    }
    return ERR_OK;
}

void api_outcomes_free(struct api_outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_decref(outcomes[i].json);
        outcomes[i].json = NULL;
    }
}
