#include "services/sandbox/sandbox.h"

#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/mem.h"
#include "services/sandbox/delay.h"
#include "services/sandbox/lab.h"
#include "services/sandbox/resumable.h"
#include "services/sandbox/routes.h"

enum { CONNECTIONS_MAX = 12000, STREAMS_MAX = 12000 };

static enum err listen_on(struct sandbox *sandbox)
{
    struct http_server_options options = {
        .address = "127.0.0.1",
        .port = sandbox->options.port,
        .body_max = SANDBOX_BODY_MAX,
        .connections_max = CONNECTIONS_MAX,
        .streams_max = STREAMS_MAX,
        .receive_timeout_ms = 30000,
        .answer_timeout_ms = (SANDBOX_SLOW_MAX + 30) * INT64_C(1000),
        .on_request = routes_handle,
        .arg = sandbox,
    };
    return http_server_new(sandbox->loop, &options, &sandbox->server);
}

enum err sandbox_new(struct loop *loop, const struct sandbox_options *options,
                     struct sandbox **ret_sandbox)
{
    struct sandbox *sandbox = mem_alloc(sizeof(*sandbox));
    sandbox->loop = loop;
    sandbox->options = *options;
    sandbox->accounts = accounts_new();
    sandbox->faults = faults_new();
    sandbox->lab = lab_new();
    /* Not random, so that a restart of the sandbox leaves every user signed in. */
    crypto_derive_key(options->client_secret ? options->client_secret : "sandbox-secret",
                      "mcpbus sandbox tokens", sandbox->key);
    enum err err = listen_on(sandbox);
    if (err) {
        sandbox_destroy(&sandbox);
        return err;
    }
    *ret_sandbox = sandbox;
    return ERR_OK;
}

void sandbox_destroy(struct sandbox **sandbox_p)
{
    struct sandbox *sandbox = *sandbox_p;
    *sandbox_p = NULL;
    if (!sandbox)
        return;
    replies_drop(sandbox);
    resumable_drop(sandbox);
    http_server_destroy(&sandbox->server);
    accounts_destroy(&sandbox->accounts);
    faults_destroy(&sandbox->faults);
    lab_destroy(&sandbox->lab);
    free(sandbox);
}

bool spent_has(const struct spent *spent, uint64_t id)
{
    for (unsigned i = 0; i < SANDBOX_SPENT_MAX; i++)
        if (spent->ids[i] == id)
            return true;
    return false;
}

void spent_add(struct spent *spent, uint64_t id)
{
    spent->ids[spent->next++ % SANDBOX_SPENT_MAX] = id;
}
