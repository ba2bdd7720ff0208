/* libmcpbus: the client library of mcpbus. It calls methods of services on the bus and serves
 * methods of your own. This header is its manual; mcpbus(3) has the same text.
 *
 * A method is named "service.method" ("jobs.get"), or "service@INSTANCE.method" for one replica.
 * Bodies are JSON objects as UTF-8 text with a length, at most MCPBUS_BODY_MAX bytes. A NULL text
 * stands for {}; the length MCPBUS_TEXT means that the text ends with a NUL. What the library gives
 * out always has a NUL behind it, which the length does not count.
 *
 * Threads. Every function may be called from any thread. A client owns one thread, on which it
 * speaks to the brokers and makes all callbacks (answers of asynchronous calls, handlers of
 * services), one at a time. A callback must not block: while it runs, nothing else of this client
 * moves. Functions that wait return MCPBUS_ERR_MISUSE when they are called from a callback of the
 * same client. All signals are blocked in the library's threads; it installs no handlers, keeps no
 * global state, and writes nothing to standard output or error. It aborts when there is no memory
 * at all.
 *
 * Processes. After fork() a client belongs to the parent alone; in the child its functions return
 * MCPBUS_ERR_MISUSE (mcpbus_close too, which then only forgets the pointer). The library's file
 * descriptors are closed by exec(). It has a ZeroMQ context of its own.
 *
 * Times are in milliseconds. A deadline is counted from the call of the function.
 *
 * Structures of options begin with their size, so that a program built with this header runs with
 * later versions of the library:
 *
 *     struct mcpbus_options options = {.size = sizeof options, .brokers = "tcp://127.0.0.1:5550"};
 *
 * Members that are zero have the default said here. All texts in options are copied. */
#ifndef MCPBUS_MCPBUS_H
#define MCPBUS_MCPBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCPBUS_TEXT ((size_t)-1)
#define MCPBUS_BODY_MAX ((size_t)5 * 1024 * 1024)
#define MCPBUS_INSTANCE_SIZE 17 /* 16 hexadecimal digits and a NUL */
#define MCPBUS_DETAIL_SIZE 512

#if defined(__GNUC__)
#define MCPBUS_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MCPBUS_MUST_CHECK
#endif

/* --- Errors ---------------------------------------------------------------------------------- */

/* What a call can end with. The numbers are those of the protocol; those below 100 are made here.
 */
enum mcpbus_status {
    MCPBUS_OK = 0,
    MCPBUS_ERR_MISUSE = 1, /* would wait on the client's own thread; after fork(); twice closed */
    MCPBUS_ERR_CLOSED =
        2, /* the client, service or stream has been closed, or the stream has ended */
    MCPBUS_ERR_AGAIN = 3,  /* nothing came in the time given to this function; it may come later */
    MCPBUS_ERR_SYSTEM = 4, /* no thread, file descriptor or readable key to be had */

    MCPBUS_ERR_BAD_FRAME = 100,
    MCPBUS_ERR_DENIED = 101,     /* this key may not call (or serve) that */
    MCPBUS_ERR_NO_SERVICE = 102, /* no replica of the service is running */
    MCPBUS_ERR_OVERLOADED = 103,
    MCPBUS_ERR_EXPIRED = 104, /* the deadline passed before the work began */
    MCPBUS_ERR_DRAINING = 105,
    MCPBUS_ERR_TOO_LARGE = 106,
    MCPBUS_ERR_VERSION = 107,
    MCPBUS_ERR_LIMITED = 108,

    MCPBUS_ERR_PEER_LOST = 200, /* the connection was lost while the call was under way */
    MCPBUS_ERR_TIMEOUT = 201,   /* no answer by the deadline */

    MCPBUS_ERR_CANCELLED = 300,
    MCPBUS_ERR_STALE_TOKEN = 301,
    MCPBUS_ERR_CONFLICT = 302,
    MCPBUS_ERR_NOT_FOUND = 303, /* the thing asked for, or the service has no such method */
    MCPBUS_ERR_INVALID = 304,   /* arguments: a method's, or of a function here */
    MCPBUS_ERR_INTERNAL = 305,
    MCPBUS_ERR_UNAUTHENTICATED = 306,
    MCPBUS_ERR_UPSTREAM = 307
};

/* What became of the work. */
enum mcpbus_group {
    MCPBUS_GROUP_OK = 0,
    MCPBUS_GROUP_NOT_EXECUTED = 1, /* it was never begun: the call may be made again */
    MCPBUS_GROUP_UNKNOWN = 2,      /* it may have been done: repeat only what may be repeated */
    MCPBUS_GROUP_EXECUTED = 3      /* the answer stands; a repetition gives the same */
};

/* Why something failed. Wherever a function takes one it may be NULL; else it is always filled,
 * with MCPBUS_OK when all went well. */
struct mcpbus_error {
    enum mcpbus_status status;
    enum mcpbus_group group;
    bool retry;             /* may the same call succeed when it is made again, without harm? */
    int64_t retry_after_ms; /* not before; 0: no hint */
    char detail[MCPBUS_DETAIL_SIZE]; /* a sentence for a person */
    uint64_t reserved[4];
};

/* "NO_SERVICE"; "UNKNOWN" for a number that this version does not have. Static. */
const char *mcpbus_status_name(enum mcpbus_status status);
/* "no such service is running". Static. */
const char *mcpbus_status_text(enum mcpbus_status status);
enum mcpbus_group mcpbus_status_group(enum mcpbus_status status);
/* The version of the library that runs, such as "2.0.0". Static. */
const char *mcpbus_version(void);

/* Frees what a function here gave with "mcpbus_free it"; NULL is fine. */
void mcpbus_free(void *memory);

/* --- Clients --------------------------------------------------------------------------------- */

struct mcpbus;

struct mcpbus_options {
    size_t size;         /* sizeof (struct mcpbus_options) */
    const char *brokers; /* required: "tcp://HOST:PORT", several with commas, at most 16 */
    const char *keys;    /* folder of CURVE certificates, where the brokers' public keys are */
    const char *key;     /* file of this program's secret certificate (NAME.key_secret); unset:
                            client.key_secret in `keys` */
    bool plain;         /* no encryption and no keys; only to brokers on loopback addresses. Without
                           this, `keys` is required */
    const char *name;   /* of the client's thread, in a debugger; at most 15 bytes; unset: mcpbus */
    int64_t timeout_ms; /* of calls that give none; 0: 30,000 */
    unsigned max_calls; /* under way at once, more are OVERLOADED; 0: 10,000, at most 100,000 */
    size_t max_bytes;   /* bodies of calls under way and of what is on its way to the client's
                           thread, together; 0: 64 MiB */
};

/* Makes a client and begins to connect to every broker; it goes on trying for as long as it lives,
 * so brokers may come and go, and be away at first. MCPBUS_ERR_INVALID: an option is wrong;
 * MCPBUS_ERR_SYSTEM: a key can't be read, or no thread be had. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_open(const struct mcpbus_options *options,
                                                 struct mcpbus **ret_client,
                                                 struct mcpbus_error *ret_error);

/* Ends the client and makes the pointer NULL; NULL is fine. Closes its services (see
 * mcpbus_service_close, with a second's time), ends all calls under way with MCPBUS_ERR_CANCELLED,
 * makes their last callbacks, waits for its thread. Threads that wait in other functions of this
 * client are woken with MCPBUS_ERR_CANCELLED; no thread may enter one any more. Streams and
 * requests that are still held stay valid, and are to be closed and answered (into nowhere).
 * MCPBUS_ERR_MISUSE: called from a callback of this client; it goes on then. */
enum mcpbus_status mcpbus_close(struct mcpbus **client_p);

/* Waits until a broker is connected and knows a replica of `service` (NULL: until a broker is
 * connected). MCPBUS_ERR_TIMEOUT: not within the time; MCPBUS_ERR_DENIED: brokers are there, and
 * all refuse this key. A call does not need this: it waits by itself until its deadline. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_wait(struct mcpbus *client, const char *service,
                                                 int64_t timeout_ms,
                                                 struct mcpbus_error *ret_error);

/* The instances of the replicas of a service that the brokers know now: writes at most `max` and
 * returns how many it has written. */
size_t mcpbus_peers(struct mcpbus *client, const char *service,
                    char (*ret_instances)[MCPBUS_INSTANCE_SIZE], size_t max);

/* What the client sees of the bus: {"instance", "brokers": [{"endpoint", "connected"}],
 * "services": {name: [instance, …]}}. mcpbus_free it. NULL from a child of fork(). */
MCPBUS_MUST_CHECK char *mcpbus_overview(struct mcpbus *client);

/* --- Calls ----------------------------------------------------------------------------------- */

/* May a call be repeated by the library when its outcome is unknown (MCPBUS_GROUP_UNKNOWN)? What
 * was not executed because no replica or broker was there is always tried again until the deadline.
 */
enum mcpbus_repeat {
    MCPBUS_REPEAT_KNOWN = 0, /* mcpbus's own methods as the protocol says; others not */
    MCPBUS_REPEAT_YES = 1,
    MCPBUS_REPEAT_NO = 2
};

/* NULL where a function takes one: the defaults. */
struct mcpbus_call_options {
    size_t size;        /* sizeof (struct mcpbus_call_options) */
    int64_t timeout_ms; /* deadline, repetitions included; 0: the client's; at most 3,600,000 */
    enum mcpbus_repeat repeat;
    int max_repeats;         /* 0: as often as the deadline allows; below 0: never */
    const char *traceparent; /* W3C trace context, "00-…-…-01"; unset: none */
    size_t stream_bytes;     /* parts of a stream that wait to be read; 0: 16 MiB */
};

/* Calls a method and waits for its answer; parts of a stream are dropped. The answer's body goes to
 * `ret_json` (mcpbus_free it) and `ret_len`; each may be NULL. MCPBUS_ERR_INVALID: the method's
 * name or the JSON is no good; MCPBUS_ERR_TOO_LARGE: over MCPBUS_BODY_MAX. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_call(struct mcpbus *client, const char *method,
                                                 const char *json, size_t len,
                                                 const struct mcpbus_call_options *options,
                                                 char **ret_json, size_t *ret_len,
                                                 struct mcpbus_error *ret_error);

/* An answer, or a part of one; borrowed for the length of the callback. */
struct mcpbus_answer {
    size_t size; /* of this structure, as the library knows it */
    bool last;   /* true exactly once for each call: the final answer, or why there is none */
    const char *json;
    size_t len;
    const struct mcpbus_error *error; /* never NULL; its status is MCPBUS_OK for parts */
};
typedef void mcpbus_answer_fn(void *arg, const struct mcpbus_answer *answer);

/* Begins a call and returns; `done` is called on the client's thread for each part and once with
 * `last`, by the deadline at the latest, also after mcpbus_cancel and mcpbus_close
 * (MCPBUS_ERR_CANCELLED): whatever `arg` points to may be freed there. The call's number, never 0,
 * goes to `ret_id` (may be NULL) before `done` can be called. When this fails, `done` is not
 * called. MCPBUS_ERR_OVERLOADED: there are `max_calls` or `max_bytes` under way. */
MCPBUS_MUST_CHECK enum mcpbus_status
mcpbus_call_async(struct mcpbus *client, const char *method, const char *json, size_t len,
                  const struct mcpbus_call_options *options, mcpbus_answer_fn *done, void *arg,
                  uint64_t *ret_id, struct mcpbus_error *ret_error);

/* Gives up a call: the service is told, and `done` gets MCPBUS_ERR_CANCELLED (with the group
 * unknown: it may have been done), unless the answer was faster. No effect when the call has ended.
 */
void mcpbus_cancel(struct mcpbus *client, uint64_t id);

/* Sends a message that nobody answers, best effort: to a replica ("weather.observed"), to one by
 * name ("weather@INSTANCE.observed") or to all ("weather@*.observed"). It may be lost, also when
 * this returns MCPBUS_OK, and surely is before a broker is connected: see mcpbus_wait. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_send(struct mcpbus *client, const char *method,
                                                 const char *json, size_t len,
                                                 struct mcpbus_error *ret_error);

/* A call whose parts are read one by one, by one thread at a time. */
struct mcpbus_stream;

MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_stream_open(struct mcpbus *client, const char *method,
                                                        const char *json, size_t len,
                                                        const struct mcpbus_call_options *options,
                                                        struct mcpbus_stream **ret_stream,
                                                        struct mcpbus_error *ret_error);

/* Waits for the next part: at most `timeout_ms`, or until the call's deadline when that is below 0.
 * MCPBUS_OK: its body is in `ret_json` (mcpbus_free it) and `ret_len`, and `ret_last` says whether
 * it was the final answer. MCPBUS_ERR_AGAIN: nothing came in that time, ask again. Any other error
 * is the call's, and its end. Behind the end: MCPBUS_ERR_CLOSED. A reader so slow that more than
 * `stream_bytes` wait gets what waits and then MCPBUS_ERR_OVERLOADED; the call is cancelled. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_stream_next(struct mcpbus_stream *stream,
                                                        int64_t timeout_ms, char **ret_json,
                                                        size_t *ret_len, bool *ret_last,
                                                        struct mcpbus_error *ret_error);

/* Ends the stream (a call still under way is cancelled) and makes the pointer NULL; NULL is fine.
 * Not while another thread waits in mcpbus_stream_next. Allowed after mcpbus_close. */
void mcpbus_stream_close(struct mcpbus_stream **stream_p);

/* --- Services -------------------------------------------------------------------------------- */

struct mcpbus_service;
struct mcpbus_request; /* a request that is being served here */

/* Called on the client's thread for each request. The handler, or whoever it passes `request` on
 * to, answers it exactly once, now or later, on any thread, with mcpbus_reply or
 * mcpbus_reply_error; a one-way request too (the answer goes nowhere). */
typedef void mcpbus_handler_fn(void *arg, struct mcpbus_request *request);

struct mcpbus_method {
    const char *name; /* "forecast": a-z, then a-z, 0-9 and _, at most 64 */
    mcpbus_handler_fn *handler;
};

struct mcpbus_service_options {
    size_t size;      /* sizeof (struct mcpbus_service_options) */
    const char *name; /* "weather": form as of methods; the key must be allowed to serve it */
    const struct mcpbus_method *methods; /* copied */
    size_t method_count;                 /* at most 64 */
    void *arg;                           /* of the handlers */
    unsigned max_requests; /* here unanswered; the brokers send no more; 0: 1,024; at least 8 for
                              each broker. One-way messages above it are dropped */
};

/* Begins to serve: the client tells every broker. Any number of processes may serve the same name:
 * they share the load. At most 16 services for each client. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_serve(struct mcpbus *client,
                                                  const struct mcpbus_service_options *options,
                                                  struct mcpbus_service **ret_service,
                                                  struct mcpbus_error *ret_error);

/* Waits until a broker sends requests here. MCPBUS_ERR_TIMEOUT: not within the time;
 * MCPBUS_ERR_DENIED: this key may not serve that. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_service_wait(struct mcpbus_service *service,
                                                         int64_t timeout_ms,
                                                         struct mcpbus_error *ret_error);

/* The instance of this replica. */
void mcpbus_service_instance(struct mcpbus_service *service,
                             char ret_instance[MCPBUS_INSTANCE_SIZE]);

/* Stops serving without losing a request: tells the brokers to send no more, waits up to
 * `timeout_ms` for the answers of those that are here, and ends. What is unanswered then ends at
 * its caller with MCPBUS_ERR_PEER_LOST; such requests stay valid and are still to be answered (into
 * nowhere). Makes the pointer NULL; NULL is fine. Services still open are closed by mcpbus_close,
 * which ends their pointers. MCPBUS_ERR_TIMEOUT: not all were answered; MCPBUS_ERR_MISUSE: called
 * from a callback, and nothing was done. */
enum mcpbus_status mcpbus_service_close(struct mcpbus_service **service_p, int64_t timeout_ms);

/* Of a request, as long as it is unanswered. The texts are borrowed. The body is a JSON object. */
const char *mcpbus_request_method(const struct mcpbus_request *request); /* "forecast" */
const char *mcpbus_request_json(const struct mcpbus_request *request, size_t *ret_len);
/* Which process asks. */
void mcpbus_request_from(const struct mcpbus_request *request,
                         char ret_instance[MCPBUS_INSTANCE_SIZE]);
/* Milliseconds until the caller's deadline; 0 when it has passed or the caller has cancelled. */
int64_t mcpbus_request_time_left(const struct mcpbus_request *request);
/* Does nobody wait for the answer any more: cancelled, deadline passed, connection lost, or this
 * client closed? Ask between the steps of long work. */
bool mcpbus_request_cancelled(const struct mcpbus_request *request);
/* Sleeps for `timeout_ms`, or until mcpbus_request_cancelled becomes true; gives that. At once when
 * called from a callback. */
bool mcpbus_request_sleep(const struct mcpbus_request *request, int64_t timeout_ms);

/* Answers and ends the request (`*request_p` becomes NULL, on failure too). MCPBUS_ERR_INVALID or
 * MCPBUS_ERR_TOO_LARGE: the body is no JSON object, or over MCPBUS_BODY_MAX; the caller has got
 * MCPBUS_ERR_INTERNAL then. MCPBUS_ERR_CANCELLED: nobody waits for it any more. */
enum mcpbus_status mcpbus_reply(struct mcpbus_request **request_p, const char *json, size_t len);

/* The same for a failure: `status` from 100 on (others become MCPBUS_ERR_INTERNAL), `detail` a
 * sentence for the caller's people (NULL: the status's text), cut at MCPBUS_DETAIL_SIZE, and a hint
 * when to try again (0: none). */
enum mcpbus_status mcpbus_reply_error(struct mcpbus_request **request_p, enum mcpbus_status status,
                                      int64_t retry_after_ms, const char *detail);

/* Sends a part of a stream before the answer. Parts of one request arrive in order.
 * MCPBUS_ERR_OVERLOADED: too much is on its way (the client's `max_bytes`); try again later, or
 * give up. MCPBUS_ERR_CANCELLED: nobody waits for it any more. */
MCPBUS_MUST_CHECK enum mcpbus_status mcpbus_reply_part(struct mcpbus_request *request,
                                                       const char *json, size_t len);

#ifdef __cplusplus
}
#endif

#endif
