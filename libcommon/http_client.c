#include "libcommon/http_client.h"

#include <sys/epoll.h>

#include "libcommon/http_client_transfer.h"
#include "libcommon/mem.h"

enum {
    CONNECTIONS_DEFAULT = 256,
    /* curl doesn't time calls that wait for a free connection; our own timer does, a little later
     * than curl's, whose error texts say more. */
    BACKSTOP_MS = 250,
};

struct call {
    struct call *next, *prev;
    struct http_client *client;
    uint64_t id;
    CURL *easy;
    struct http_transfer transfer;
    struct loop_timer *timer;
    http_done_fn *done;
    void *arg;
    bool added;  /* curl has it */
    bool failed; /* can't be sent */
    bool cancelled;
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct http_client_options options;
    char *proxy, *no_proxy, *ca_bundle;
    struct call *calls;
    uint64_t last_id;
    bool in_curl; /* curl refuses to be called from within its own callbacks */
};

static void call_free(struct call *call)
{
    struct http_client *client = call->client;
    if (call->prev)
        call->prev->next = call->next;
    else
        client->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (call->added)
        curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    http_transfer_fini(&call->transfer);
    loop_timer_destroy(&call->timer);
    free(call);
}

static void call_finish(struct call *call, enum err error, const struct http_answer *answer)
{
    http_done_fn *done = call->done;
    call->done = NULL;
    if (done)
        done(call->arg, error, answer);
    call_free(call);
}

static void call_fail(struct call *call, enum err error, const char *why)
{
    struct http_answer answer;
    http_answer_failed(&answer, why);
    answer.sent = call->transfer.sent;
    call_finish(call, error, &answer);
}

static void on_call_timer(void *arg)
{
    struct call *call = arg;
    if (call->failed)
        call_fail(call, ERR_INVALID, "this request can't be sent");
    else
        call_fail(call, ERR_TIMEOUT, "no connection became free in time");
}

static void call_add(struct call *call)
{
    call->added = curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK;
    if (!call->added) {
        call->failed = true;
        loop_timer_start(call->timer, 0);
    }
}

/* What was sent or cancelled from within curl's callbacks. */
static void settle(struct http_client *client)
{
    struct call *next;
    for (struct call *call = client->calls; call; call = next) {
        next = call->next;
        if (call->cancelled)
            call_free(call);
        else if (!call->added && !call->failed)
            call_add(call);
    }
}

static void finish_ended(struct http_client *client)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct call *call = NULL;
        struct http_answer answer;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        enum err error = http_transfer_answer(&call->transfer, code, &answer);
        call_finish(call, error, &answer);
    }
}

static void act(struct http_client *client, curl_socket_t fd, int events)
{
    int running;
    client->in_curl = true;
    curl_multi_socket_action(client->multi, fd, events, &running);
    client->in_curl = false;
    settle(client);
    finish_ended(client);
}

static void on_timer(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

struct watch {
    struct http_client *client;
    int fd;
};

static void on_fd(void *arg, uint32_t events)
{
    const struct watch *watch = arg;
    int bits = (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    act(watch->client, watch->fd, bits);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct http_client *client = arg;
    struct watch *watch = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        loop_fd_remove(client->loop, fd);
        curl_multi_assign(client->multi, fd, NULL);
        free(watch);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (watch) {
        loop_fd_change(client->loop, fd, events);
        return 0;
    }
    watch = mem_alloc(sizeof *watch);
    *watch = (struct watch){.client = client, .fd = fd};
    curl_multi_assign(client->multi, fd, watch);
    loop_fd_remove(client->loop, fd); /* should curl have closed one of this number silently */
    loop_fd_add(client->loop, fd, events, on_fd, watch);
    return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *client = arg;
    if (timeout_ms < 0)
        loop_timer_stop(client->timer);
    else
        loop_timer_start(client->timer, timeout_ms);
    return 0;
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options)
{
    http_transfer_global_init();
    struct http_client *client = mem_alloc(sizeof *client);
    client->loop = loop;
    client->proxy = options ? mem_strdup_opt(options->proxy) : NULL;
    client->no_proxy = options ? mem_strdup_opt(options->no_proxy) : NULL;
    client->ca_bundle = options ? mem_strdup_opt(options->ca_bundle) : NULL;
    client->options.proxy = client->proxy;
    client->options.no_proxy = client->no_proxy;
    client->options.ca_bundle = client->ca_bundle;
    client->timer = loop_timer_new(loop, on_timer, client);
    client->multi = curl_multi_init();
    long max = options && options->connections_max ? (long)options->connections_max
                                                   : (long)CONNECTIONS_DEFAULT;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, max);
    return client;
}

void http_client_destroy(struct http_client **client_p)
{
    struct http_client *client = *client_p;
    if (!client)
        return;
    uint64_t last = client->last_id;
    while (client->calls) {
        /* What `done` sends now is dropped: it could go on for ever. The head has no `prev`, so
         * freeing it moves client->calls. */
        if (client->calls->id > last) /* NOLINT(clang-analyzer-unix.Malloc) */
            client->calls->done = NULL;
        call_fail(client->calls, ERR_CANCELLED, "cancelled");
    }
    curl_multi_cleanup(client->multi);
    loop_timer_destroy(&client->timer);
    free(client->proxy);
    free(client->no_proxy);
    free(client->ca_bundle);
    free(client);
    *client_p = NULL;
}

uint64_t http_client_send(struct http_client *client, const struct http_call *options,
                          http_done_fn *done, void *arg)
{
    struct call *call = mem_alloc(sizeof *call);
    call->client = client;
    call->id = ++client->last_id;
    call->done = done;
    call->arg = arg;
    call->timer = loop_timer_new(client->loop, on_call_timer, call);
    call->easy = curl_easy_init();
    call->next = client->calls;
    if (call->next)
        call->next->prev = call;
    client->calls = call;
    call->failed = !call->easy || http_transfer_init(&call->transfer, call->easy, &client->options,
                                                     options) != ERR_OK;
    if (call->failed) {
        loop_timer_start(call->timer, 0);
        return call->id;
    }
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    loop_timer_start(call->timer,
                     (options->timeout_ms > 0 ? options->timeout_ms : 1) + BACKSTOP_MS);
    if (!client->in_curl)
        call_add(call);
    return call->id;
}

void http_client_cancel(struct http_client *client, uint64_t id)
{
    struct call *call = client->calls;
    while (call && call->id != id)
        call = call->next;
    /* Without `done` it is ending just now. */
    if (!call || !call->done)
        return;
    call->done = NULL;
    if (!client->in_curl) {
        call_free(call);
        return;
    }
    call->cancelled = true;
    call->transfer.cancelled = true;
}
