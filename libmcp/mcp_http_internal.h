/* Inside the Streamable HTTP transport: the transport (mcp_http.c), its exchanges
 * (mcp_http_exchange.c, mcp_http_answer.c) and their header lines (mcp_http_lines.c). */
#ifndef MCPBUS_MCP_HTTP_INTERNAL_H
#define MCPBUS_MCP_HTTP_INTERNAL_H

#include "libcommon/buf.h"
#include "libcommon/sse.h"
#include "libmcp/mcp_http.h"
#include "libmcp/mcp_oauth.h"

enum {
    MCP_HTTP_EXCHANGES_MAX = 320,
    MCP_HTTP_MESSAGE_MAX = 4 << 20, /* bytes of one message from the server */
    MCP_HTTP_STREAM_MAX = 64 << 20, /* bytes of one answer, its events all together */
};

struct mcp_exchange;

struct mcp_http {
    struct mcp_transport transport;
    struct loop *loop;
    struct http_client *client;
    const struct mcp_transport_events *events;
    void *arg;
    const struct mcp_http_auth *auth;
    struct mcp_oauth *oauth; /* whose `auth` is, unless another was set */
    json_t *auth_lines;      /* what `auth` has last added to a call */
    char *name, *url;
    json_t *headers; /* configured: {name: value} */
    bool has_authorization;
    bool modern;                    /* as of the last message sent */
    char *session, *version;        /* of the era with sessions; NULL: none */
    struct mcp_exchange *exchanges; /* newest first */
    struct mcp_exchange *gate;      /* notifications/initialized: what follows waits for its end */
    bool authorizing;               /* `auth` is looking for credentials */
    struct mcp_exchange *goodbye;   /* the session's DELETE */
    uint64_t auth_generation;       /* counts what `auth` has found */
    size_t count;
    bool stopping;
};

enum mcp_exchange_kind {
    MCP_EXCHANGE_POST,
    MCP_EXCHANGE_LISTEN, /* GET for what the server says by itself */
    MCP_EXCHANGE_DELETE,
};

/* One message and what comes back for it, over as many HTTP calls as that takes. */
struct mcp_exchange {
    struct mcp_exchange *next, *prev;
    struct mcp_http *http;
    enum mcp_exchange_kind kind;
    int64_t id; /* of a request; else 0 */
    char *body;
    json_t *lines; /* headers of this message alone: [text] */
    bool modern, initializes, opens_session;
    int64_t deadline; /* clock_ms; 0: none */
    bool faulty;      /* it can't be sent; `why` says why */
    char why[MCP_WHY_SIZE_MAX];
    bool waits_for_gate;
    struct loop_timer *timer;
    /* the HTTP call under way */
    uint64_t call;
    char *sent_session;
    uint64_t sent_generation;
    bool resuming; /* it is a GET with Last-Event-ID */
    int status;
    bool stream;
    struct sse *sse; /* the answer so far */
    struct buf text;
    size_t received;
    bool too_large;
    /* over all calls */
    bool answered;
    char *last_event_id;
    int64_t retry_ms; /* −1: the server said none */
    unsigned failures, refusals, redirects;
    bool waits_for_auth;
    bool busy, dropped; /* in a callback; then freed at its end */
};

/* mcp_http_exchange.c */
struct mcp_exchange *mcp_exchange_new(struct mcp_http *http, enum mcp_exchange_kind kind);
/* Makes the HTTP call that is due: the message's, or the resumption's. */
void mcp_exchange_start(struct mcp_exchange *exchange);
/* Calls mcp_exchange_start (or says why it is faulty) later. */
void mcp_exchange_start_in(struct mcp_exchange *exchange, int64_t delay_ms);
/* Ends it without a word. */
void mcp_exchange_drop(struct mcp_exchange *exchange);
/* Ends it; a request is told that no answer comes. */
void mcp_exchange_fail(struct mcp_exchange *exchange, int status, const char *why);

/* mcp_http_answer.c */
/* Hands the text of a message on; notes when it was the answer that the exchange waits for. */
void mcp_exchange_message(struct mcp_exchange *exchange, const char *text, size_t len, int status);
/* What an ended HTTP call comes to. */
void mcp_exchange_called(struct mcp_exchange *exchange, enum err error,
                         const struct http_answer *answer);

/* mcp_http_lines.c */
/* All header lines of the next call, in an array of texts. */
json_t *mcp_exchange_lines(struct mcp_exchange *exchange, const char *method);
/* A line for people about an answer that is none of MCP; without what the headers hold. */
void mcp_http_describe(const struct mcp_http *http, int status, const char *body,
                       char ret_why[MCP_WHY_SIZE_MAX]);

/* Overwrites in `text` what the headers and the url hold. */
void mcp_http_hide(const struct mcp_http *http, char *text);

/* mcp_http.c */
/* Lets what waited for the gate go. */
void mcp_http_open_gate(struct mcp_http *http);
void mcp_http_listen(struct mcp_http *http);

#endif
