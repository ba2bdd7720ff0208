/* HTTP client: the one door to libcurl. Two forms of the same call: on a loop (curl_multi, one pool
 * of kept connections, HTTP/2 where the peer has it), and blocking, for processes without a loop.
 * http and https only; never follows redirects; no cookies; TLS is verified. Secrets travel in
 * headers only and are never logged. */
#ifndef MCPBUS_HTTP_CLIENT_H
#define MCPBUS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"

struct http_client;

/* What becomes of an answer's body. */
enum http_body {
    HTTP_BODY_GATHER, /* it comes with the answer */
    HTTP_BODY_STREAM, /* on_data gets it as it comes */
    HTTP_BODY_REFUSE, /* the call ends with ERR_CANCELLED; the answer has status and headers */
};
struct http_answer;

/* A method that RFC 9110 §9.2.2 doesn't call idempotent (POST, PATCH) is sent at most once: when a
 * kept connection turns out to be closed, the call ends with ERR_PEER_LOST instead of being sent
 * again on another. */
struct http_call {
    const char *method; /* "GET", "POST", … */
    const char *url;
    const char *const *headers; /* "Name: value" lines, NULL-terminated; may be NULL */
    const void *body;           /* may be NULL */
    size_t body_len;
    bool body_kept;     /* it stays as it is until the call has ended, so it needn't be copied; then
                         * no cancelling from within on_head or on_data */
    int64_t timeout_ms; /* for everything */
    size_t answer_max;  /* bytes of body; more is ERR_TOO_LARGE; 0: 1 MiB */
    bool repeatable;    /* a POST or PATCH that does no harm when sent twice, so may be */
    /* The URL came from outside: it may lead to public addresses alone, not to this host or its
     * networks (else ERR_INVALID). Where a proxy makes the connection, the proxy has to see to it.
     */
    bool public_only;
    /* Called once, when the answer's head is there, with status and headers (borrowed, gone after
     * the call; no body): before any on_data, long before the end of a stream. May be NULL: then
     * the body of a 2xx answer goes to on_data where there is one, any other is gathered. */
    enum http_body (*on_head)(void *arg, const struct http_answer *head);
    /* Called with pieces of the body as they come. False ends the call with ERR_CANCELLED; so a
     * stream is closed (from elsewhere: http_client_cancel). */
    bool (*on_data)(void *arg, const char *data, size_t len);
    void *arg;
};

struct http_answer {
    int status; /* 0: no answer came */
    bool sent;  /* may the peer have got the request? Never, when there was no connection to it */
    const char *body;
    size_t len;
    const char *content_type; /* "" when none */
    int64_t retry_after_ms;   /* from Retry-After (seconds, date) or retry-after-ms; −1: none */
    const char *should_retry; /* x-should-retry, "" when none */
    const char *www_authenticate; /* several are joined by ", "; "" when none */
    const char *session_id;       /* mcp-session-id, "" when none */
    const char *location;         /* "" when none */
    const char *range;            /* of an upload under way: what has arrived; "" when none */
    const char *dpop_nonce;       /* dpop-nonce, "" when none */
    char error[160];              /* why there was no answer; holds no secret and no query string */
};

/* `error` is ERR_OK when an answer came, whatever its status; else ERR_TIMEOUT, ERR_PEER_LOST (no
 * connection, cut), ERR_TOO_LARGE, ERR_CANCELLED, ERR_INVALID (the URL). The answer is borrowed and
 * gone after the call. */
typedef void http_done_fn(void *arg, enum err error, const struct http_answer *answer);

struct http_client_options {
    const char *proxy;     /* HTTPS_PROXY, may be NULL; loopback addresses never go through it */
    const char *no_proxy;  /* NO_PROXY, may be NULL: what else doesn't, see http_bypasses_proxy */
    const char *ca_bundle; /* a file, may be NULL: the system's */
    unsigned connections_max;
};

/* Can it be an HTTPS_PROXY: [scheme://][user:password@]host[:port]? */
bool http_proxy_is_valid(const char *proxy);

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options);
/* Calls under way end with ERR_CANCELLED. Not from within on_data or done. */
void http_client_destroy(struct http_client **client_p);

/* Starts a call; everything in `call` is copied (but a body_kept). `done` is called once, later,
 * from the loop. The id is never 0. */
uint64_t http_client_send(struct http_client *client, const struct http_call *call,
                          http_done_fn *done, void *arg);
/* Ends a call: done is not called any more. No-op when it has ended. */
void http_client_cancel(struct http_client *client, uint64_t id);

/* The blocking form; the same errors. On ERR_OK *ret_answer is filled, and the caller calls
 * http_answer_free on it. On failure it holds the reason (error, status, retry_after_ms) and needs
 * no freeing. `options` may be NULL. Keeps one connection pool in the process. Any thread. */
struct http_answer_owned {
    struct http_answer answer;
    void *memory;
};
MUST_CHECK enum err http_fetch(const struct http_client_options *options,
                               const struct http_call *call, struct http_answer_owned *ret_answer);
void http_answer_free(struct http_answer_owned *answer);

/* application/x-www-form-urlencoded text of name, value pairs, NULL-terminated; free() it. */
char *http_form_encode(const char *const *pairs);
/* Percent-encodes everything but unreserved characters (RFC 3986 §2.3); free() it. */
char *http_url_encode(const char *text);

#endif
