/* What a client sees of the bus. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcpbus/client.h"

void trouble_init(struct trouble *trouble)
{
    trouble->endpoints = map_new();
}

void trouble_fini(struct trouble *trouble)
{
    map_destroy(&trouble->endpoints);
}

void trouble_pass(struct trouble *trouble, const struct bus *bus)
{
    if (!bus_connected(bus))
        return;
    trouble_fini(trouble);
    trouble_init(trouble);
    *trouble->text = '\0';
}

void trouble_note(void *arg, const char *endpoint, const char *what)
{
    struct trouble *trouble = arg;
    map_put(trouble->endpoints, endpoint, strlen(endpoint), trouble);
    snprintf(trouble->text, sizeof trouble->text, "%.255s: %s", endpoint, what);
}

/* A key that all brokers refuse may be known to them in a minute, but nobody should wait for that.
 */
void trouble_tell(const struct mcpbus *client, const struct bus *bus, const struct trouble *trouble,
                  struct state_question *state)
{
    bool alone = !bus_connected(bus);
    bool by_all = map_count(trouble->endpoints) >= brokers_count(client->brokers);
    state->ret_status = alone && by_all ? MCPBUS_ERR_DENIED : MCPBUS_ERR_AGAIN;
    snprintf(state->ret_why, sizeof state->ret_why, "%s", alone ? trouble->text : "");
}

static void look_ready(struct mcpbus *client, struct command *command)
{
    struct state_question *state = (struct state_question *)command;
    uint64_t peer;
    if (client->stop)
        state->ret_status = MCPBUS_ERR_CANCELLED;
    else if (state->of ? bus_peers(client->bus, state->of, &peer, 1) > 0
                       : bus_connected(client->bus))
        state->ret_status = MCPBUS_OK;
    else
        trouble_tell(client, client->bus, &client->trouble, state);
}

enum mcpbus_status mcpbus_wait(struct mcpbus *client, const char *service, int64_t timeout_ms,
                               struct mcpbus_error *error)
{
    enum mcpbus_status status = client_may_wait(client, error);
    if (status)
        return status;
    client_hold(client);
    status = client_wait(client, look_ready, (void *)service, timeout_ms, error);
    client_release(client);
    return status;
}

struct peers_question {
    struct question question;
    const char *service;
    uint64_t *instances;
    size_t max, ret_count;
};

static void run_peers(struct mcpbus *client, struct command *command)
{
    struct peers_question *peers = (struct peers_question *)command;
    if (!client->closing)
        peers->ret_count = bus_peers(client->bus, peers->service, peers->instances, peers->max);
}

size_t mcpbus_peers(struct mcpbus *client, const char *service,
                    char (*ret_instances)[MCPBUS_INSTANCE_SIZE], size_t max)
{
    enum { PEERS_MAX = 4096 };
    max = max < PEERS_MAX ? max : PEERS_MAX;
    if (!client_is_here(client) || !service || !max)
        return 0;
    AUTOFREE uint64_t *instances = mem_alloc(max * sizeof *instances);
    struct peers_question peers = {.service = service, .instances = instances, .max = max};
    if (!client_ask(client, &peers.question, run_peers))
        return 0;
    for (size_t i = 0; i < peers.ret_count; i++)
        bus_instance_format(instances[i], ret_instances[i]);
    return peers.ret_count;
}

struct overview_question {
    struct question question;
    char *ret_text;
};

static void run_overview(struct mcpbus *client, struct command *command)
{
    struct overview_question *overview = (struct overview_question *)command;
    if (client->closing)
        return;
    AUTOJSON json_t *value = bus_overview(client->bus);
    overview->ret_text = js_dump(value);
}

char *mcpbus_overview(struct mcpbus *client)
{
    struct overview_question overview = {0};
    if (!client_is_here(client) || !client_ask(client, &overview.question, run_overview))
        return NULL;
    return overview.ret_text;
}
