#include "libcommon/service_about.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

/* Bytes in memory now; 0: unknown. */
static json_int_t memory(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;
    if (!file)
        return 0;
    if (fscanf(file, "%*s %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (json_int_t)pages * sysconf(_SC_PAGESIZE);
}

static void about(void *arg, struct bus_call *call, json_t *args)
{
    const struct service *service = arg;
    const struct service_def *def = service->def;
    char host[256] = "";
    (void)args;
    gethostname(host, sizeof host - 1);
    const char *problem = def->problem ? def->problem((struct service *)service) : NULL;
    bus_reply(&call,
              json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s?}", "service", def->name,
                        "version", MCPBUS_VERSION, "host", host, "pid", (json_int_t)getpid(),
                        "uptime_ms", (json_int_t)(loop_now(service->loop) - service->started_at),
                        "memory_bytes", memory(), "requests", (json_int_t)bus_active(service->bus),
                        "problem", problem));
}

struct bus_method *service_about_methods(const struct service_def *def)
{
    struct bus_method *methods = mem_alloc((def->method_count + 1) * sizeof *methods);
    if (def->method_count)
        memcpy(methods, def->methods, def->method_count * sizeof *methods);
    methods[def->method_count] = (struct bus_method){"about", about};
    return methods;
}
