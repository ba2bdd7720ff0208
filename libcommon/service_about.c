#include "libcommon/service_about.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

/* Bytes in memory now; 0: unknown. The second number of /proc/self/statm is in pages. */
static json_int_t memory(void)
{
    char line[256] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    const char *blank = fgets(line, sizeof line, file) ? strchr(line, ' ') : NULL;
    fclose(file);
    return blank ? (json_int_t)strtoll(blank, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
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
