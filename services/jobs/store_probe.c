/* Does the database answer at all? By the reader: the writers may rightly wait for a slow disk. */
#include <stdlib.h>

#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

struct probe_call {
    store_done_fn *done;
    void *arg;
};

static void on_probed(void *arg, enum err error, const struct pg_rows *rows)
{
    struct probe_call *call = arg;
    (void)rows;
    call->done(call->arg, error);
    free(call);
}

void store_probe(struct store *store, store_done_fn *done, void *arg)
{
    static const struct pg_statement probe = {"probe", "SELECT 1", true};
    struct probe_call *call = mem_alloc(sizeof *call);
    *call = (struct probe_call){done, arg};
    pg_exec(store->reader, &probe, -1, STORE_READ_MS, NULL, 0, on_probed, call);
}
