#include "libmcp/mcp_pool.h"

#include <sys/wait.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { STOP_MAX_MS = 1500, CONNECTIONS_MAX = 64 };

struct mcp_pool {
    struct loop *loop;
    struct mcp_client *clients[MCP_SERVERS_MAX];
    size_t count;
    struct http_client_options http_options;
    struct http_client *http; /* made when the first server with a url starts */
    mcp_progress_fn *on_progress;
    void *arg;
};

static struct http_client *http_of(void *arg)
{
    struct mcp_pool *pool = arg;
    if (!pool->http)
        pool->http = http_client_new(pool->loop, &pool->http_options);
    return pool->http;
}

static void on_progress(void *arg, const struct mcp_call *call, const json_t *params)
{
    const struct mcp_pool *pool = arg;
    if (pool->on_progress)
        pool->on_progress(pool->arg, call, params);
}

/* A source of the loop: ends of orphans wake nobody, but nobody has to wake for them. */
static bool reap(void *arg)
{
    siginfo_t info = {0};
    (void)arg;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
        info.si_pid = 0;
    return false;
}

struct mcp_pool *mcp_pool_new(const struct mcp_pool_options *options)
{
    struct mcp_pool *pool = mem_alloc(sizeof *pool);
    pool->loop = options->loop;
    pool->http_options = options->http;
    if (!pool->http_options.connections_max)
        pool->http_options.connections_max = CONNECTIONS_MAX;
    pool->on_progress = options->on_progress;
    pool->arg = options->arg;
    size_t index;
    json_t *spec;
    json_array_foreach(options->specs, index, spec)
    {
        if (pool->count == MCP_SERVERS_MAX)
            break;
        struct mcp_client_options client = {
            .loop = options->loop,
            .spec = spec,
            .known = json_object_get(options->known, js_str(spec, "name", "?")),
            .http = http_of,
            .on_progress = on_progress,
            .arg = pool,
            .rest_ms = options->rest_ms,
        };
        pool->clients[pool->count++] = mcp_client_new(&client);
    }
    loop_source_add(pool->loop, reap, pool);
    return pool;
}

static bool all_stopped(void *arg)
{
    struct mcp_pool *pool = arg;
    bool all = true;
    for (size_t i = 0; i < pool->count; i++)
        all &= mcp_client_stopped(pool->clients[i]);
    return all;
}

void mcp_pool_destroy(struct mcp_pool **pool_p)
{
    struct mcp_pool *pool = *pool_p;
    if (!pool)
        return;
    *pool_p = NULL;
    for (size_t i = 0; i < pool->count; i++)
        mcp_client_stop(pool->clients[i]);
    loop_run_until(pool->loop, all_stopped, pool, STOP_MAX_MS);
    for (size_t i = 0; i < pool->count; i++)
        mcp_client_destroy(&pool->clients[i]);
    http_client_destroy(&pool->http);
    loop_source_remove(pool->loop, reap, pool);
    free(pool);
}

size_t mcp_pool_count(const struct mcp_pool *pool)
{
    return pool->count;
}

struct mcp_client *mcp_pool_client(const struct mcp_pool *pool, size_t index)
{
    return pool->clients[index];
}

static bool none_busy(void *arg)
{
    const struct mcp_pool *pool = arg;
    for (size_t i = 0; i < pool->count; i++)
        if (mcp_client_busy(pool->clients[i]))
            return false;
    return true;
}

void mcp_pool_list(struct mcp_pool *pool, int64_t deadline)
{
    for (size_t i = 0; i < pool->count; i++)
        mcp_client_list(pool->clients[i], deadline);
    loop_wait_until(pool->loop, none_busy, pool, deadline - clock_ms());
}
