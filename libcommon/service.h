/* The service runtime: a service is a table of methods, start and stop. The runtime owns arguments,
 * settings, logging, signals, the loop, the bus, health (HEALTH_PORT), metrics and draining. main()
 * of a service is one call of service_main. */
#ifndef MCPBUS_SERVICE_H
#define MCPBUS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/bus.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "libcommon/settings.h"

struct service_def;

struct service {
    const struct service_def *def;
    int64_t started_at; /* loop_now */
    struct loop *loop;
    struct bus *bus;      /* NULL when the service has none */
    const void *settings; /* the filled struct of the definition's table */
    void *state;          /* the service's own, set by start */
};

struct service_def {
    const char *name;    /* "jobs": its name on the bus and in logs */
    const char *summary; /* a sentence for --help */
    /* Their handlers' first argument is the struct service *. The runtime adds `about`. */
    const struct bus_method *methods;
    size_t method_count;
    bool off_bus;    /* no bus connection (broker, sandbox) */
    unsigned credit; /* see bus_options; 0: the default */

    /* The settings table and the struct that it fills. */
    const struct setting *settings;
    size_t setting_count;
    size_t settings_size;
    const char *endpoints_setting; /* "BROKER_ENDPOINT" */
    const char *const *required;   /* names that must be set, NULL-terminated */

    /* Before the loop, the bus and any thread exist (the worker's zygote is forked here); may be
     * NULL. An error ends the process; it has been logged. */
    enum err (*early)(struct service *service);
    /* Opens what the service needs and sets service->state. The bus answers no request before it
     * returns. An error (logged by start) ends the process with status 1. */
    enum err (*start)(struct service *service);
    /* SIGTERM or SIGINT: the bus drains; begin to finish what is under way. May be NULL. */
    void (*drain)(struct service *service);
    /* Nothing is under way any more (stop may happen); NULL: as soon as the bus is idle. Asked
     * every few milliseconds for up to `drain_ms`. */
    bool (*drained)(struct service *service);
    int drain_ms;    /* 0: 5,000 */
    bool privileged; /* keeps what harden.h takes away (the worker makes namespaces) */
    /* Why the service can't do its work now (a literal without quotes), NULL: it can; for /readyz.
     * Asked only between start and the signal to stop, and while a broker is connected. NULL: that
     * is enough. */
    const char *(*problem)(struct service *service);
    /* More about that problem for the log, with what to do; NULL: the problem says enough. */
    const char *(*reason)(struct service *service);
    bool says_problem; /* it logs its problems itself */
    /* Releases everything. */
    void (*stop)(struct service *service);
};

/* The path of a process's secret certificate: BUS_KEY, or that of its role in BUS_KEYS; free() it.
 */
char *service_key(const char *keys, const char *key, const char *role);

/* Runs the service; the result is main's. Arguments: --help, --version, --env-file FILE. */
int service_main(const struct service_def *def, int argc, char **argv);

#endif
