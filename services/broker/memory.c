/* What gathers within libzmq: a message whose end never comes has no high-water mark there, so a
 * peer with a key could fill the machine. Nobody can tell from outside which connection it is, and
 * a broker holds no truth: it ends, its supervisor starts it anew, and what it held is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcommon/log.h"
#include "services/broker/internal.h"

enum { MIB = 1024 * 1024 };

/* Resident MiB of this process; 0 when unknown. */
static int64_t resident_mib(void)
{
    char text[128], *resident = NULL;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fgets(text, sizeof text, file))
        resident = strchr(text, ' '); /* behind the size of the address space */
    fclose(file);
    return resident ? strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE) / MIB : 0;
}

void memory_tick(const struct broker *broker)
{
    if (!broker->memory_mib || resident_mib() <= broker->memory_mib)
        return;
    log_error("memory_exceeded", LOG_I("limit_mib", broker->memory_mib),
              LOG_S("hint", "a peer sends a message without an end, or BROKER_MEMORY is too low; "
                            "a key that is no longer trusted: mcpbus keygen --retire"));
    _exit(EXIT_FAILURE);
}
