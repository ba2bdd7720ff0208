/* What carries JSON-RPC messages to one MCP server and back: mcp_stdio, mcp_http. mcp_client sits
 * on top and knows eras, versions and requests; a transport knows none of them, only what must go
 * along with a message. Everything happens on the loop's thread, nothing blocks, and no callback is
 * made from within a call of the same transport (defer it). */
#ifndef MCPBUS_MCP_TRANSPORT_H
#define MCPBUS_MCP_TRANSPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/http_client.h"
#include "libcommon/loop.h"

enum { MCP_WHY_SIZE_MAX = 256, MCP_NEVER_SENT = -1 };

struct mcp_oauth_grant;
struct mcp_transport;

/* What goes with a message. All borrowed. */
struct mcp_head {
    int64_t id;         /* of a request; 0: a notification or an answer */
    const char *method; /* NULL: an answer */
    const char *name;   /* Mcp-Name: the tool's name or resource's URI; NULL: none */
    const json_t *tool; /* of tools/call: the tool as listed, for Mcp-Param-…; or NULL */
    const char *protocol_version; /* NULL: not agreed on yet (initialize) */
    bool modern;                  /* the stateless era: 2026-07-28 and later */
    int64_t timeout_ms;           /* how long its answer is waited for; 0: without an end */
};

struct mcp_transport_events {
    /* A message came: JSON text, one message or (2025-03-26) an array of them. `status`: of the
     * HTTP answer that had it, of an event stream's too; 0: this transport has none. */
    void (*message)(void *arg, const char *text, size_t len, int status);
    /* Request `id` will get no JSON-RPC answer: the HTTP answer was `status` (0: there was none;
     * MCP_NEVER_SENT), `why` is a line for people. A status below 500 other than 0, 408 and 429
     * means that the server did not act; otherwise that is unknown. Not called for notifications
     * and answers. */
    void (*no_answer)(void *arg, int64_t id, int status, const char *why);
    /* Request `id` was not executed, for the server knows the session no more; the transport has
     * forgotten it, and the next message has to be initialize. */
    void (*session_lost)(void *arg, int64_t id);
    /* It is over: the process ended, or a limit was broken. Nothing follows. */
    void (*ended)(void *arg, const char *why);
};

struct mcp_transport_class {
    /* In the stateless era, does giving a request up tell the server (its stream is closed)? Else
     * notifications/cancelled is sent. */
    bool forget_cancels;
    /* `message` is borrowed. ERR_TOO_LARGE: the server does not read; ERR_PEER_LOST: it is gone.
     * After either, `ended` may or may not follow. */
    enum err (*send)(struct mcp_transport *transport, const json_t *message,
                     const struct mcp_head *head);
    /* No one waits for the answer of request `id` any more. */
    void (*forget)(struct mcp_transport *transport, int64_t id);
    /* May the tool be offered? (HTTP: its x-mcp-header annotations.) NULL: all may. */
    bool (*accepts)(const struct mcp_transport *transport, const json_t *tool,
                    char ret_why[MCP_WHY_SIZE_MAX]);
    /* Overwrites in `text`, which the server has said, the secrets that it was given. */
    void (*hide)(const struct mcp_transport *transport, char *text);
    /* Begins the end: input closed, session deleted. No events follow. */
    void (*stop)(struct mcp_transport *transport);
    /* Goes on with it: what was asked kindly at `stop` is forced as time passes. True when there is
     * nothing left to wait for. */
    bool (*stopped)(struct mcp_transport *transport);
    /* At once, whatever has not ended. */
    void (*destroy)(struct mcp_transport *transport);
};

struct mcp_transport { /* the first member of each implementation */
    const struct mcp_transport_class *class;
};

struct mcp_transport_options {
    struct loop *loop;
    struct http_client *http; /* for servers with a url; NULL: none was needed */
    const json_t *spec; /* {name, command, args, env} or {name, url, headers?, auth?}; borrowed */
    const struct mcp_transport_events *events; /* outlives it, as does */
    void *arg;
    /* How a token is got for a server with a url that wants one and whose spec says nothing of it
     * (mcp_oauth.h); NULL: not at all. */
    const struct mcp_oauth_grant *grant;
};

/* ERR_UPSTREAM: it could not be started; `ret_why` says why. */
MUST_CHECK enum err mcp_stdio_new(const struct mcp_transport_options *options,
                                  struct mcp_transport **ret_transport,
                                  char ret_why[MCP_WHY_SIZE_MAX]);
MUST_CHECK enum err mcp_http_new(const struct mcp_transport_options *options,
                                 struct mcp_transport **ret_transport,
                                 char ret_why[MCP_WHY_SIZE_MAX]);

#endif
