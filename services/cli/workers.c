#include "services/cli/workers.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "services/cli/output.h"

enum { PREFIX_MIN = 4 };

static const char *const heads[] = {"WORKER", "HOST", "VERSION", "RUNS", "OF", "STATE", "SESSION"};

int workers_get(struct bus_session *session, json_t **ret_workers)
{
    AUTOJSON json_t *result = NULL;
    if (session_call(session, "jobs.workers", json_object(), NULL, NULL, &result))
        return session_fail(session, "jobs.workers");
    *ret_workers = json_incref(json_object_get(result, "workers"));
    return CLI_OK;
}

void workers_print(const json_t *workers)
{
    struct table *table = table_new(heads, "kcdrrkd");
    size_t i;
    json_t *worker;
    json_array_foreach(workers, i, worker)
    {
        bool draining = js_bool(worker, "draining", false);
        int64_t running = js_int(worker, "running", 0);
        table_add(table, PAINT_PLAIN, js_str(worker, "instance", ""));
        table_add(table, PAINT_PLAIN, js_str(worker, "host", ""));
        table_add(table, PAINT_PLAIN, js_str(worker, "version", ""));
        table_addf(table, PAINT_PLAIN, "%lld", (long long)running);
        table_addf(table, PAINT_PLAIN, "%lld", (long long)js_int(worker, "capacity", 0));
        table_add(table, draining ? PAINT_WARN : PAINT_GOOD,
                  !draining ? "takes jobs"
                  : running ? "draining"
                            : "drained");
        table_add(table, PAINT_DIM, js_str(worker, "session", ""));
    }
    table_print(&table);
}

static bool begins(const json_t *worker, const char *key, const char *name)
{
    return strlen(name) >= PREFIX_MIN && !strncmp(js_str(worker, key, ""), name, strlen(name));
}

int workers_find(const struct bus_session *session, const json_t *workers, const char *name,
                 json_t **ret_found)
{
    AUTOJSON json_t *host = json_array(), *one = json_array();
    size_t i;
    json_t *worker;
    json_array_foreach(workers, i, worker)
    {
        if (!strcmp(js_str(worker, "host", ""), name))
            json_array_append(host, worker);
        if (begins(worker, "instance", name) || begins(worker, "session", name))
            json_array_append(one, worker);
    }
    if (json_array_size(host) || json_array_size(one) == 1) {
        *ret_found = json_incref(json_array_size(host) ? host : one);
        return CLI_OK;
    }
    int status =
        json_array_size(one)
            ? session_refuse(session, "CONFLICT", "more than one worker's name begins with %s",
                             name)
            : session_refuse(session, "NOT_FOUND",
                             "no worker is called %s: a name is a host, or how an instance or "
                             "session begins (4 characters at least)",
                             name);
    fprintf(stderr, "  mcpbus workers lists them\n");
    return status;
}
