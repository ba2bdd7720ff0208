/* A service of a client, and the requests that are here for it. */
#ifndef MCPBUS_SERVE_H
#define MCPBUS_SERVE_H

#include "libmcpbus/client.h"

/* Somebody who waits in mcpbus_service_close. */
struct closer {
    struct question question; /* `done` comes with the end of the service, not of the command */
    struct mcpbus_service *service;
    int64_t timeout_ms;
    enum mcpbus_status ret_status;
};

struct mcpbus_service {
    atomic_uint users; /* the client, and who waits for it or for its end */
    struct mcpbus *client;
    char instance[MCPBUS_INSTANCE_SIZE];

    /* The client's thread alone. */
    struct mcpbus_service *next;
    struct bus *bus;
    struct trouble trouble;
    char *name;
    struct bus_method *methods;
    mcpbus_handler_fn **handlers; /* of `methods`, in order */
    size_t method_count;
    void *arg;
    unsigned max_requests;
    struct map *requests;    /* by the address of the bus's call */
    struct map *one_way;     /* by the address of the request */
    struct closer *closer;   /* NULL: it is open, or the client closes it */
    struct loop_timer *ends; /* looks whether all is answered */
    int64_t end;
    bool over;
};

/* It belongs to whoever answers it; the bus's call, and where it is listed, to the client's thread.
 * The answer is a command in it, so that there is always room for one. */
struct mcpbus_request {
    struct command command;
    struct mcpbus *client;
    char method[65], from[MCPBUS_INSTANCE_SIZE];
    char *json;
    size_t len;
    int64_t deadline;
    atomic_bool cancelled;
    atomic_uint parts_queued;

    struct mcpbus_service *service; /* NULL: it has ended */
    struct bus_call *call;          /* NULL: nobody wants an answer */

    struct buf reply;
    enum err status;
    int64_t retry_after_ms;
    char *detail;
};

/* request.c */
void request_arrive(struct mcpbus_service *service, struct bus_call *call, size_t method,
                    const char *text, size_t len);
/* The bus's calls end with the bus: whoever answers these answers nobody. */
void requests_detach(struct mcpbus_service *service);

#endif
