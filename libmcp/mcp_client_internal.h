/* Inside mcp_client: mcp_client.c has the state, the transport's events and deadlines,
 * mcp_client_start.c eras, versions and lists, mcp_client_calls.c the calls. */
#ifndef MCPBUS_MCP_CLIENT_INTERNAL_H
#define MCPBUS_MCP_CLIENT_INTERNAL_H

#include "libmcp/mcp_client.h"
#include "libmcp/mcp_message.h"

enum { MCP_WORKS_MAX = 256 };

enum mcp_era { MCP_ERA_UNKNOWN, MCP_ERA_LEGACY, MCP_ERA_MODERN };

/* A call under way. */
struct mcp_work {
    struct mcp_call *call;
    int64_t id;      /* of the request that it waits for; 0: for the start */
    bool retried;    /* after a refusal of the version */
    unsigned rounds; /* of input_required */
    unsigned lost;   /* sessions */
    json_t *responses, *request_state;
    unsigned stage, pages; /* MCP_LIST_RESOURCES: resources, then templates */
    json_t *found[2];
};

struct mcp_client {
    struct mcp_client_options options;
    char *name;
    json_t *spec;
    enum mcp_state state;
    char why[MCP_WHY_SIZE_MAX];
    struct mcp_transport *transport;
    struct mcp_transport *retired; /* stopped, but not ended yet */
    struct loop_timer *timer;
    bool stopping;

    enum mcp_era era;
    const char *version;
    bool remembered;                       /* the era is what an earlier client has found */
    bool probed;                           /* this transport has seen server/discover */
    bool began_anew;                       /* a start has failed once already */
    int64_t start_deadline, step_deadline; /* 0: none */
    int64_t rest_at;                       /* 0: never */
    bool called;                           /* so it may have a state of its own */
    bool acted;                            /* a call was sent to it */
    bool discover_retried;
    int64_t next_id;
    int64_t discover_id, initialize_id, list_id, listen_id; /* 0: not under way */

    bool has_tools, has_resources, tells_changes;
    bool known, stale;     /* `tools` is a list; it is out of date */
    json_t *tools, *fresh; /* tools: NULL while they are packed */
    char *packed;
    size_t fresh_bytes, fresh_values;
    char *instructions;
    int64_t ttl_ms; /* −1: the server says nothing of it */
    bool is_private;
    bool after_calls; /* `tools` may be what the user's own calls have made of them */
    unsigned pages, lists;
    int64_t list_deadline;

    unsigned garbage, sessions;
    struct mcp_work *works; /* of MCP_WORKS_MAX, from the first call on */
    size_t work_count;
};

/* ---- mcp_client.c ---- */
__attribute__((format(printf, 2, 3))) void mcp_client_fail(struct mcp_client *client,
                                                           const char *fmt, ...);
/* Sends a request (`params` is consumed; _meta is added) and returns its id, or 0: the client has
 * failed. */
int64_t mcp_client_request(struct mcp_client *client, const char *method, json_t *params,
                           struct mcp_head head);
void mcp_client_notify(struct mcp_client *client, const char *method, json_t *params);
/* Opens a transport; false: the client has failed. */
bool mcp_client_open(struct mcp_client *client);
/* Stops the transport and forgets what was under way on it but the calls. */
void mcp_client_close(struct mcp_client *client);
/* Ends the server until it is called, and keeps what it has said. */
void mcp_client_rest(struct mcp_client *client);
/* Sets the timer to what is due next. */
void mcp_client_schedule(struct mcp_client *client);
/* The words of an error, without secrets; free() it. */
char *mcp_client_error_text(const struct mcp_client *client, const json_t *error);
bool mcp_version_is_listed(const json_t *list, const char *version);

/* ---- mcp_client_start.c ---- */
void mcp_client_start(struct mcp_client *client, int64_t deadline);
/* A new session on the same transport. */
void mcp_client_initialize(struct mcp_client *client);
/* Each says whether the message was for it. */
bool mcp_start_answer(struct mcp_client *client, const struct mcp_message *message);
bool mcp_start_no_answer(struct mcp_client *client, int64_t id, int status, const char *why);
bool mcp_start_session_lost(struct mcp_client *client, int64_t id);
/* The transport is gone: true when the start goes on with another. */
bool mcp_start_ended(struct mcp_client *client);
void mcp_start_deadlines(struct mcp_client *client, int64_t now);
void mcp_list_tools(struct mcp_client *client);

/* ---- mcp_client_calls.c ---- */
bool mcp_calls_answer(struct mcp_client *client, const struct mcp_message *message);
bool mcp_calls_no_answer(struct mcp_client *client, int64_t id, int status, const char *why);
bool mcp_calls_session_lost(struct mcp_client *client, int64_t id);
void mcp_calls_progress(struct mcp_client *client, const json_t *params);
void mcp_calls_deadlines(struct mcp_client *client, int64_t now);
/* The client is READY: what waited for that is sent. */
void mcp_calls_begin(struct mcp_client *client);
/* Frees what belongs to them; nobody is told. */
void mcp_calls_forget(struct mcp_client *client);
/* The client has FAILED. */
void mcp_calls_fail(struct mcp_client *client);

#endif
