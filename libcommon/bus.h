/* The bus: requests with a deadline to "service.method", one reply or a stream of parts, over every
 * configured broker at once (one DEALER each). The same object calls and serves. Runs on the loop's
 * thread. The wire protocol is proto/PROTOCOL.md.
 *
 * Bodies are JSON objects. What goes out and comes in is checked against the method's table in
 * proto/ (names, types, sizes): a handler sees only bodies that fit. Methods that the protocol does
 * not know (of others' services) are called and served as well, with any object. */
#ifndef MCPBUS_BUS_H
#define MCPBUS_BUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/bus_cert.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"
#include "libcommon/trace.h"

struct bus;
struct bus_call; /* a request being served here */

/* A method that this process serves. The handler owns `call` and answers it exactly once, now or
 * later, with bus_reply or bus_reply_error (a one-way call too: the answer then goes nowhere).
 * `args` is borrowed for the length of the handler; json_incref it to keep it. */
typedef void bus_handler_fn(void *service, struct bus_call *call, json_t *args);
struct bus_method {
    const char *name; /* "submit", as in the proto table of this service */
    bus_handler_fn *handler;
};

/* The same for all methods of the service, of bodies as text: a JSON object, unchecked when the
 * protocol has no such method. Borrowed, not terminated. */
typedef void bus_text_handler_fn(void *service, struct bus_call *call, const char *method,
                                 const char *text, size_t len);
/* Nobody waits for the answer of `call` any more: the caller has cancelled it, it has been given
 * back, or the connection that it came by was lost. It is to be answered all the same, not from
 * within. Not called for deadlines. */
typedef void bus_cancelled_fn(void *service, struct bus_call *call);

struct bus_options {
    const char *endpoints; /* "tcp://127.0.0.1:5550,tcp://…" */
    const char *service;   /* NULL: calls only */
    const struct bus_method *methods;
    size_t method_count;
    void *handler_arg;                 /* `service` of the handlers */
    bus_text_handler_fn *text_handler; /* NULL, or for every one of `methods` */
    bus_cancelled_fn *cancelled;       /* may be NULL */
    unsigned credit; /* requests that may be here unanswered, over all brokers; 0: 1,024 */

    /* CURVE, with the brokers' public keys from the folder `keys` and the process's own secret
     * certificate `key`, both read again for each connection; or `plain`, on loopback alone. */
    bool plain;
    const char *keys, *key;
    /* Called from the loop when a broker can't be used for a reason that people must mend, once a
     * minute at most for each broker and reason; may be NULL. */
    void (*trouble)(void *arg, const char *endpoint, const char *what);
    void *trouble_arg;
    bool measured; /* calls and requests are counted in the process's metrics */
    char *why;     /* BUS_WHY_SIZE bytes, for what is wrong when bus_new fails; may be NULL */
};

/* ERR_INVALID: the endpoints; ERR_DENIED: the keys, or plain beyond loopback. */
MUST_CHECK enum err bus_new(struct loop *loop, const struct bus_options *options,
                            struct bus **ret_bus);
/* Calls under way end with ERR_CANCELLED. Runs the loop until the brokers have the last replies, at
 * most two seconds; no handler is called any more. */
void bus_destroy(struct bus **bus_p);

/* 64-bit random name of this process's boot, and its text form (16 hex digits). */
uint64_t bus_instance(const struct bus *bus);
const char *bus_instance_text(const struct bus *bus);
/* Is at least one broker connected? */
bool bus_connected(const struct bus *bus);
/* Why no broker can be used, when each has a reason that people must mend (see `trouble`); NULL:
 * one is connected, or may be yet. Borrowed until the loop's next turn. */
const char *bus_trouble(const struct bus *bus);

struct bus_request {
    const char *method; /* "jobs.submit"; "jobs@INSTANCE.submit" for one replica */
    json_t *args;       /* consumed (even on failure) */
    struct buf *text;   /* instead of args: a JSON object as text, emptied; the server checks it */
    int64_t timeout_ms;
    bool idempotent; /* may be repeated on another replica when the outcome is unknown */
    int max_repeats; /* 0: as often as the deadline allows; below 0: never */
    /* What the call is about: it becomes a span below this one's, when that is sampled. Borrowed
     * until bus_call returns; both may be NULL. */
    const struct trace *trace;
    const char *request_id; /* of the HTTP request; up to 128 characters */
    bool raw; /* good bodies (of parts, too) are wanted as text, unparsed and unchecked */
};

/* The reply to a call. `error` ERR_OK: `result` is the body, borrowed (`text` when the request was
 * raw). Otherwise `detail` says why
 * for a person (never NULL), `retry_after_ms` is 0 or a hint, and `result` may be NULL or carry
 * the error's body. `last` is false for the parts of a stream, true exactly once. */
struct bus_answer {
    enum err error;
    json_t *result;
    const char *text; /* not terminated */
    size_t text_len;
    const char *detail;
    int64_t retry_after_ms;
    bool last;
};
typedef void bus_answer_fn(void *arg, const struct bus_answer *answer);

/* Sends a request; `done` is called later from the loop (never from within), for each part and once
 * with `last`: by the deadline at the latest. Retries by status group until then. Returns the
 * call's id for bus_cancel, never 0. */
uint64_t bus_call(struct bus *bus, struct bus_request request, bus_answer_fn *done, void *arg);
/* Forgets a call and tells the server; `done` is not called any more. */
void bus_cancel(struct bus *bus, uint64_t id);

/* One way, best effort: to one replica by load ("jobs.note"), one by name ("worker@I.run") or every
 * replica ("gateway@*.hint"). A hint: it may be lost. `args` is consumed. */
void bus_send(struct bus *bus, const char *method, json_t *args);
/* The same of a JSON object as text; `args` is emptied. */
void bus_send_text(struct bus *bus, const char *method, struct buf *args);
/* The same by every broker that is connected, for what does no harm when it comes more than once: a
 * broker that has just died, which is noticed only after seconds, loses nothing then. */
void bus_send_every_way(struct bus *bus, const char *method, json_t *args);

/* Serving: answers and ends `*call_p` (which becomes NULL). `result` is consumed. */
void bus_reply(struct bus_call **call_p, json_t *result);
/* The same of a JSON object as text, unchecked; `result` is emptied. */
void bus_reply_text(struct bus_call **call_p, struct buf *result);
__attribute__((format(printf, 3, 4))) void bus_reply_error(struct bus_call **call_p, enum err error,
                                                           const char *detail, ...);
/* The same with a Retry-After hint in milliseconds. */
void bus_reply_busy(struct bus_call **call_p, enum err error, int64_t retry_after_ms,
                    const char *detail);
/* One part of a stream; `part` is consumed. */
void bus_reply_part(struct bus_call *call, json_t *part);
/* The same of a JSON object as text, unchecked; `part` is emptied. */
void bus_reply_part_text(struct bus_call *call, struct buf *part);
/* Milliseconds left until the caller's deadline (0 when it has passed). */
int64_t bus_call_time_left(const struct bus_call *call);
/* The context of serving this call, for what it does in turn; no trace id: there is none. */
const struct trace *bus_call_trace(const struct bus_call *call);
/* Of the HTTP request that it is about; "" when it said none. */
const char *bus_call_request_id(const struct bus_call *call);
/* False for a one-way request: what it is answered with goes nowhere. */
bool bus_call_wants_answer(const struct bus_call *call);
/* Instance of the caller's process. */
uint64_t bus_call_from(const struct bus_call *call);

/* {"instance", "brokers": [{"endpoint", "connected"}], "services": {name: [instance, …]}} as the
 * brokers tell it now; the caller's. */
json_t *bus_overview(const struct bus *bus);
/* Messages and bytes that wait to leave, of the broker that has most of them. */
void bus_backlog(const struct bus *bus, size_t *ret_messages, size_t *ret_bytes);

/* The replicas of a service that any broker knows now. `changed` is called (later, from the loop)
 * whenever the list of any service changes. */
size_t bus_peers(const struct bus *bus, const char *service, uint64_t *ret_instances, size_t max);
void bus_on_peers(struct bus *bus, void (*changed)(void *arg), void *arg);

/* Tells the brokers to send no more requests; those here may still be answered. */
void bus_drain(struct bus *bus);
/* This replica can do no work for now, or can again: its database is out of its reach, say. Away,
 * it gets no requests as long as the brokers know another replica of its service, and what is here
 * unanswered goes back to its callers with PEER_LOST. Without another, requests wait here as well
 * as anywhere. To be called again and again, a few times a second: it looks for others then. */
void bus_set_away(struct bus *bus, bool away);
/* Requests here unanswered; while draining also the brokers that may yet send one. */
size_t bus_active(const struct bus *bus);

/* "16 hex digits" → instance; false on anything else. */
MUST_CHECK bool bus_instance_parse(const char *text, uint64_t *ret_instance);
void bus_instance_format(uint64_t instance, char ret_text[17]);

#endif
