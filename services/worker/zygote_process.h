/* The zygote's own process, and its messages (SOCK_SEQPACKET, so each is whole). */
#ifndef MCPBUS_WORKER_ZYGOTE_PROCESS_H
#define MCPBUS_WORKER_ZYGOTE_PROCESS_H

#include <stdint.h>

enum zygote_op {
    ZYGOTE_START,
    ZYGOTE_KILL,
    ZYGOTE_LEASE,
    ZYGOTE_ENDED,
    ZYGOTE_BORN,  /* by the gate: `status` is the isolated zygote's pid, or errno of step `end` */
    ZYGOTE_BEGIN, /* to the isolated zygote: the gate has gone */
    ZYGOTE_READY, /* by the isolated zygote: `status` is errno of step `end` */
};

struct zygote_message {
    enum zygote_op op;
    uint64_t id;     /* of the run */
    int64_t until;   /* LEASE */
    int status, end; /* ENDED, BORN, READY */
};

/* Serves until the socket's other end is closed, kills what is left, and returns. `own` is what
 * isolation_begin gave; −1: runs share the worker's namespaces. */
void zygote_main(int fd, int own);

#endif
