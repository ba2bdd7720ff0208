/* The zygote's own process, and its messages (SOCK_SEQPACKET, so each is whole). */
#ifndef MCPBUS_WORKER_ZYGOTE_PROCESS_H
#define MCPBUS_WORKER_ZYGOTE_PROCESS_H

#include <stdint.h>

enum zygote_op { ZYGOTE_START, ZYGOTE_KILL, ZYGOTE_LEASE, ZYGOTE_ENDED };

struct zygote_message {
    enum zygote_op op;
    uint64_t id;     /* of the run; 0: the zygote's start is over, nothing else said */
    int64_t until;   /* LEASE */
    int status, end; /* ENDED */
};

/* Serves until the socket's other end is closed, kills what is left, and returns. */
void zygote_main(int fd);

#endif
