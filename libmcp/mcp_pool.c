#include "libmcp/mcp_pool.h"

#include "libcommon/mem.h"
#include "libcommon/clock.h"

struct mcp_pool {
    struct mcp_client *clients[MCP_SERVERS_MAX];
    size_t count;
};

struct mcp_pool *mcp_pool_new(const json_t *specs, int64_t start_deadline,
                              mcp_progress_fn *on_progress, void *arg)
{
    struct mcp_pool *pool = mem_alloc(sizeof *pool);
    size_t index;
    json_t *spec;
    json_array_foreach(specs, index, spec)
    {
        if (pool->count < MCP_SERVERS_MAX)
            pool->clients[pool->count++] = mcp_client_new(spec, start_deadline, on_progress, arg);
    }
    return pool;
}

static size_t collect(const struct mcp_pool *pool, struct mcp_stdio *ret_stdios[MCP_SERVERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < pool->count; i++) {
        struct mcp_stdio *stdio = mcp_client_stdio(pool->clients[i]);
        if (stdio)
            ret_stdios[count++] = stdio;
    }
    return count;
}

void mcp_pool_destroy(struct mcp_pool **pool_p)
{
    struct mcp_pool *pool = *pool_p;
    if (!pool)
        return;
    *pool_p = NULL;
    struct mcp_stdio *stdios[MCP_SERVERS_MAX];
    mcp_stdio_stop(stdios, collect(pool, stdios));
    for (size_t i = 0; i < pool->count; i++)
        mcp_client_destroy(&pool->clients[i]);
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

bool mcp_pool_starting(const struct mcp_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        if (mcp_client_state(pool->clients[i]) == MCP_STARTING)
            return true;
    return false;
}

bool mcp_pool_turn(struct mcp_pool *pool, int extra_fd, int64_t deadline)
{
    struct pollfd fds[MCP_SERVERS_MAX * MCP_STDIO_FDS + 1];
    nfds_t count = 1;
    fds[0] = (struct pollfd){.fd = extra_fd, .events = POLLIN};
    for (size_t i = 0; i < pool->count; i++) {
        struct mcp_stdio *stdio = mcp_client_stdio(pool->clients[i]);
        if (stdio) {
            mcp_stdio_poll_fds(stdio, &fds[count]);
            count += MCP_STDIO_FDS;
        }
        deadline = mcp_client_deadline(pool->clients[i], deadline);
    }
    int64_t wait = deadline - clock_ms();
    int ready = poll(fds, count, wait <= 0 ? 0 : wait > 60000 ? 60000 : (int)wait);
    count = 1;
    for (size_t i = 0; i < pool->count; i++) {
        struct mcp_stdio *stdio = mcp_client_stdio(pool->clients[i]);
        if (!stdio)
            continue;
        if (ready > 0)
            mcp_stdio_ready(stdio, &fds[count]);
        count += MCP_STDIO_FDS;
        mcp_client_turn(pool->clients[i], clock_ms());
    }
    struct mcp_stdio *stdios[MCP_SERVERS_MAX];
    mcp_stdio_reap(stdios, collect(pool, stdios));
    return ready > 0 && fds[0].revents;
}
