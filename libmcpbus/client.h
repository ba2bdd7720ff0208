/* What the parts of libmcpbus share. A client's own thread has the loop, the bus for calls, a bus
 * for each service, and all state that is marked so; other threads reach it by commands alone,
 * which are run there in the order in which they were pushed. */
#ifndef MCPBUS_CLIENT_H
#define MCPBUS_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "libcommon/bus.h"
#include "libcommon/map.h"
#include "libmcpbus/mcpbus.h"
#include "proto/proto.h"

enum {
    BUS_ENDPOINT_SIZE = 256,
    COMMANDS_MAX = 16384, /* waiting for the client's thread; answers and questions always fit */
    BACKLOG_MAX = 4096,   /* messages waiting for one broker; the bus gives up at 8,192 */
    SERVICES_MAX = 16,
    METHODS_MAX = 64,
    DESCRIPTORS = 8, /* of a bus, and of each connection of it */
};

struct mcpbus;
struct command;
typedef void command_fn(struct mcpbus *client, struct command *command);

/* Embedded at the beginning of what it carries. */
struct command {
    command_fn *run;
    struct command *next;
};

/* A command whose sender waits for it. */
struct question {
    struct command command;
    command_fn *fn;
    pthread_cond_t answered;
    bool done;
};

/* What brokers have against a bus: they are there and don't take it. The client's thread alone. */
struct trouble {
    struct map *endpoints; /* that have said something */
    char text[BUS_ENDPOINT_SIZE + BUS_WHY_SIZE];
};

struct mcpbus {
    atomic_uint users;
    pid_t pid;
    pthread_t thread;
    int wake_fd;
    char *brokers, *name, *keys, *key;
    char why[BUS_WHY_SIZE]; /* what is wrong with them */
    int64_t timeout_ms;
    unsigned max_calls;
    size_t max_bytes;
    atomic_ullong next_id;
    atomic_uint calls_open;
    atomic_size_t bytes, backlog_messages, backlog_bytes;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* something to look at again: see client_wait */
    uint64_t changes;
    struct command *head, **tail;
    size_t queued;
    bool started;
    atomic_bool stopped; /* nobody runs commands or callbacks any more */
    enum mcpbus_status start_status;

    /* The client's thread alone. */
    struct bus_options bus_options; /* what all buses of the client have in common */
    struct loop *loop;
    struct bus *bus;
    struct trouble trouble; /* of `bus` */
    struct map *calls;      /* by id */
    struct mcpbus_service *services;
    size_t service_count;
    bool stop, closing; /* closing: what comes now is too late */
};

/* error.c */
/* Fills `error` (may be NULL) and gives `status`. */
__attribute__((format(printf, 3, 4))) enum mcpbus_status
fail(struct mcpbus_error *error, enum mcpbus_status status, const char *detail, ...);
enum mcpbus_status succeed(struct mcpbus_error *error);
/* With the status's own text. */
enum mcpbus_status fail_plainly(struct mcpbus_error *error, enum mcpbus_status status);
enum mcpbus_status status_of(enum err err);
/* ERR_INTERNAL for what is no error of a service. */
enum err err_of(enum mcpbus_status status);
/* A NULL text is {}; MCPBUS_TEXT is measured. Refuses what is no JSON object or too large. */
MUST_CHECK enum mcpbus_status check_json(const char **json_p, size_t *len_p,
                                         struct mcpbus_error *error);
/* A copy with a NUL behind it. */
char *copy_text(const char *text, size_t len);

/* client.c */
void client_hold(struct mcpbus *client);
void client_release(struct mcpbus *client);
bool client_is_here(const struct mcpbus *client); /* is this the process that it belongs to? */
bool client_on_thread(const struct mcpbus *client);
/* MISUSE when this thread may not wait for the client. */
MUST_CHECK enum mcpbus_status client_may_wait(const struct mcpbus *client,
                                              struct mcpbus_error *error);
/* False when the client has ended: the command was not taken. */
MUST_CHECK bool client_push(struct mcpbus *client, struct command *command);
/* Is there room for `len` bytes more? Then they are counted, until client_give_back. */
MUST_CHECK bool client_take_room(struct mcpbus *client, size_t len);
void client_give_back(struct mcpbus *client, size_t len);
/* Runs `fn` on the client's thread and waits for it; false when the client has ended. */
MUST_CHECK bool client_ask(struct mcpbus *client, struct question *question, command_fn *fn);
/* Wakes all who wait for something to change. Any thread. */
void client_tell_change(void *client);
/* Under the lock: waits until `end` (see clock) at most; false when it is over. */
bool client_sleep(struct mcpbus *client, pthread_cond_t *cond, int64_t end);
void cond_init(pthread_cond_t *cond);
/* Asks `fn` again after each change until its status is not MCPBUS_ERR_AGAIN. */
struct state_question {
    struct question question;
    void *of;
    enum mcpbus_status ret_status;
    char ret_why[sizeof((struct trouble *)NULL)->text]; /* "": nothing is known */
};
MUST_CHECK enum mcpbus_status client_wait(struct mcpbus *client, command_fn *fn, void *of,
                                          int64_t timeout_ms, struct mcpbus_error *error);
/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_now(void);
int64_t deadline_in(int64_t timeout_ms);
/* Are so many file descriptors to be had? libzmq aborts when there are none. */
bool has_descriptors(int wanted);
size_t brokers_count(const char *brokers);

/* peers.c */
void trouble_init(struct trouble *trouble);
void trouble_fini(struct trouble *trouble);
/* What was said before a broker took the bus is over. */
void trouble_pass(struct trouble *trouble, const struct bus *bus);
void trouble_note(void *trouble, const char *endpoint, const char *what);
/* Nothing but a broker's word is missing: says in `state` why there is none, if that is known. */
void trouble_tell(const struct mcpbus *client, const struct bus *bus, const struct trouble *trouble,
                  struct state_question *state);

/* call.c */
void call_options_read(const struct mcpbus_call_options *given,
                       struct mcpbus_call_options *ret_options);
void calls_end_all(struct mcpbus *client); /* those that the bus has no more */

/* serve.c */
/* Ends those whose closing is over. */
void services_reap(struct mcpbus *client);
/* The larger of what is there and their buses' own. */
void services_add_backlog(struct mcpbus *client, size_t *messages, size_t *bytes);
/* At the client's end: lets all services answer what they have, at most a second; ends them. */
void services_drain_all(struct mcpbus *client);
void services_end_all(struct mcpbus *client);

#endif
