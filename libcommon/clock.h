/* Milliseconds that go on while the machine sleeps: a lease does not wait for a laptop's lid. */
#ifndef MCPBUS_CLOCK_H
#define MCPBUS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
