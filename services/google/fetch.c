#include "services/google/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"

enum { BACKSTOP_MS = 2000 }; /* the client ends each call by itself, a little earlier */

struct fetcher {
    struct loop *loop;
    struct http_client *http;
    bool (*cancelled)(void *arg);
    void *arg;
};

struct waiting {
    struct fetcher *fetcher;
    struct fetched *fetched;
    enum err error;
    bool done;
};

struct fetcher *fetcher_new(struct loop *loop, const struct http_client_options *options)
{
    struct fetcher *fetcher = mem_alloc(sizeof *fetcher);
    fetcher->loop = loop;
    fetcher->http = http_client_new(loop, options);
    return fetcher;
}

void fetcher_destroy(struct fetcher **fetcher_p)
{
    if (!*fetcher_p)
        return;
    http_client_destroy(&(*fetcher_p)->http);
    free(*fetcher_p);
    *fetcher_p = NULL;
}

void fetcher_watch(struct fetcher *fetcher, bool (*cancelled)(void *arg), void *arg)
{
    fetcher->cancelled = cancelled;
    fetcher->arg = arg;
}

static bool is_cancelled(void *arg)
{
    const struct fetcher *fetcher = arg;
    return fetcher->cancelled && fetcher->cancelled(fetcher->arg);
}

static bool is_over(void *arg)
{
    struct waiting *waiting = arg;
    return waiting->done || is_cancelled(waiting->fetcher);
}

static void keep(struct fetched *fetched, const struct http_answer *answer)
{
    fetched->answer = *answer;
    fetched->body = mem_alloc(answer->len + 1);
    if (answer->len)
        memcpy(fetched->body, answer->body, answer->len);
    fetched->content_type = mem_strdup(answer->content_type ? answer->content_type : "");
    fetched->location = mem_strdup(answer->location ? answer->location : "");
    fetched->range = mem_strdup(answer->range ? answer->range : "");
    fetched->answer.body = fetched->body;
    fetched->answer.content_type = fetched->content_type;
    fetched->answer.location = fetched->location;
    fetched->answer.range = fetched->range;
    fetched->answer.should_retry = fetched->answer.www_authenticate = "";
    fetched->answer.session_id = fetched->answer.dpop_nonce = "";
}

static void on_done(void *arg, enum err error, const struct http_answer *answer)
{
    struct waiting *waiting = arg;
    waiting->done = true;
    waiting->error = error;
    keep(waiting->fetched, answer);
}

void fetched_free(struct fetched *fetched)
{
    free(fetched->body);
    free(fetched->content_type);
    free(fetched->location);
    free(fetched->range);
    *fetched = (struct fetched){0};
}

enum err fetch(struct fetcher *fetcher, const struct http_call *call, struct fetched *ret_fetched)
{
    struct waiting waiting = {.fetcher = fetcher, .fetched = ret_fetched};
    *ret_fetched = (struct fetched){.answer.retry_after_ms = -1};
    if (is_cancelled(fetcher))
        return ERR_CANCELLED;
    uint64_t id = http_client_send(fetcher->http, call, on_done, &waiting);
    loop_wait_until(fetcher->loop, is_over, &waiting, call->timeout_ms + BACKSTOP_MS);
    if (waiting.done)
        return waiting.error;
    http_client_cancel(fetcher->http, id);
    return is_cancelled(fetcher) ? ERR_CANCELLED : ERR_TIMEOUT;
}

enum err fetch_pause(struct fetcher *fetcher, int64_t ms)
{
    return loop_wait_until(fetcher->loop, is_cancelled, fetcher, ms) ? ERR_CANCELLED : ERR_OK;
}
