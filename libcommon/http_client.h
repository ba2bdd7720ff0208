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

struct http_call {
    const char *method; /* "GET", "POST", … */
    const char *url;
    const char *const *headers; /* "Name: value" lines, NULL-terminated; may be NULL */
    const void *body;           /* may be NULL */
    size_t body_len;
    int64_t timeout_ms; /* for everything */
    size_t answer_max;  /* bytes of body; more is ERR_TOO_LARGE; 0: 1 MiB */
    /* Called with pieces of a 2xx answer's body as they come (may be NULL: the body is gathered in
     * the answer). False aborts with ERR_CANCELLED. */
    bool (*on_data)(void *arg, const char *data, size_t len);
    void *arg;
};

struct http_answer {
    int status; /* 0: no answer came */
    const char *body;
    size_t len;
    const char *content_type; /* "" when none */
    int64_t retry_after_ms;   /* from Retry-After (seconds, date) or retry-after-ms; −1: none */
    const char *should_retry; /* x-should-retry, "" when none */
    const char *www_authenticate; /* "" when none */
    const char *session_id;       /* mcp-session-id, "" when none */
    const char *location;         /* "" when none */
    char error[160];              /* why there was no answer; holds no secret and no query string */
};

/* `error` is ERR_OK when an answer came, whatever its status; else ERR_TIMEOUT, ERR_PEER_LOST (no
 * connection, cut), ERR_TOO_LARGE, ERR_CANCELLED, ERR_INVALID (the URL). The answer is borrowed and
 * gone after the call. */
typedef void http_done_fn(void *arg, enum err error, const struct http_answer *answer);

struct http_client_options {
    const char *proxy;     /* HTTPS_PROXY, may be NULL; loopback addresses never go through it */
    const char *ca_bundle; /* a file, may be NULL: the system's */
    unsigned connections_max;
};

/* Can it be an HTTPS_PROXY: [scheme://][user:password@]host[:port]? */
bool http_proxy_is_valid(const char *proxy);

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options);
/* Calls under way end with ERR_CANCELLED. Not from within on_data or done. */
void http_client_destroy(struct http_client **client_p);

/* Starts a call; everything in `call` is copied. `done` is called once, later, from the loop. The
 * id is never 0. */
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
