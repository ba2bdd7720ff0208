/* Streamable HTTP (mcp_http_new in mcp_transport.h): each message is a POST of its own; answers
 * come as JSON or as an event stream. In the eras with sessions a stream that breaks is taken up
 * again by GET with Last-Event-ID, another GET listens for what the server says by itself, and the
 * session is deleted at the end. A request that may have reached the server is never sent again,
 * unless the server has said that it did not act on it (401, 307, 308).
 *
 * The spec: {name, url, headers?: {name: value}, auth?: see mcp_oauth_options}. Redirects are
 * followed within the same origin only. What the configured headers hold appears in no log and no
 * error. */
#ifndef MCPBUS_MCP_HTTP_H
#define MCPBUS_MCP_HTTP_H

#include "libmcp/mcp_transport.h"

/* Answers a server's demand for authorization. One request at a time asks; the others that were
 * refused meanwhile wait for the same outcome. */
struct mcp_http_auth {
    /* Adds the header lines that authorize such a request now ("Authorization: …") to `lines`, an
     * array of texts; none when there are none yet. Not asked when Authorization is configured. */
    void (*lines)(void *arg, const char *method, const char *url, json_t *lines);
    /* A request was answered by 401, or by 403 with a WWW-Authenticate header (insufficient_scope).
     * Finds other credentials, in its own time, then calls `done` once, from the loop and not from
     * within this: why NULL: `lines` gives something new and the request is sent again; else it is
     * refused, for the reason that `why` tells people. `attempt`: of the same request, from 1.
     * `answer` is borrowed for this call. */
    void (*refused)(void *arg, const struct http_answer *answer, unsigned attempt,
                    void (*done)(void *done_arg, const char *why), void *done_arg);
    /* The transport is going away: `done` is not called any more. */
    void (*cancel)(void *arg);
    void *arg;
};

/* Could a transport be made of that spec? ERR_INVALID: `ret_why` has a line for the person who
 * wrote it, without what its headers hold. */
MUST_CHECK enum err mcp_http_check(const json_t *spec, char ret_why[MCP_WHY_SIZE_MAX]);

/* In place of what the spec's "auth" says; it outlives the transport. */
void mcp_http_set_auth(struct mcp_transport *transport, const struct mcp_http_auth *auth);

/* The parts that other files of libmcp test and fuzz. */

/* A header value as it is, or as =?base64?…?= when it can't go plainly; free() it. */
char *mcp_http_encode_value(const char *text);
/* Is each x-mcp-header annotation of the tool's inputSchema as SEP-2243 wants it? */
bool mcp_http_tool_is_valid(const json_t *tool, char ret_why[MCP_WHY_SIZE_MAX]);
/* Adds an "Mcp-Param-NAME: value" text to `lines` for each annotated argument that has a value.
 * ERR_INVALID: one can't be sent; `ret_why` says why. */
MUST_CHECK enum err mcp_http_param_lines(const json_t *tool, const json_t *arguments, json_t *lines,
                                         char ret_why[MCP_WHY_SIZE_MAX]);

#endif
