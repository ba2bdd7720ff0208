/* One line of JSON-RPC 2.0 from an MCP server, which may hold anything. */
#ifndef MCPBUS_MCP_MESSAGE_H
#define MCPBUS_MCP_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum { MCP_LINE_MAX = 4 << 20, MCP_VALUES_MAX = 256 << 10 };

enum mcp_kind { MCP_RESULT, MCP_ERROR, MCP_REQUEST, MCP_NOTIFICATION };

struct mcp_message {
    enum mcp_kind kind;
    int64_t id;         /* of a RESULT or ERROR: the number that we gave the request */
    json_t *request_id; /* of a REQUEST: to be given back; borrowed from `json` */
    const char *method; /* of a REQUEST or NOTIFICATION; borrowed */
    json_t *body;       /* result, error or params; NULL when there is none; borrowed */
    json_t *json;       /* owner of all that; json_decref it */
};

/* Text of JSON from a server. What ECMAScript's JSON.stringify may write and JSON of this program
 * can't hold (\\u0000, half of a surrogate pair) becomes U+FFFD: half an emoji in a tool's result
 * must not lose the result. ERR_INVALID as js_parse. */
MUST_CHECK enum err mcp_json_parse(const char *text, size_t len, json_t **ret_json);

/* The same of a value that is parsed already; `json` is borrowed, and ret_message->json too. */
MUST_CHECK enum err mcp_message_of(json_t *json, struct mcp_message *ret_message);

/* ERR_INVALID: not such a message (a log line on the wrong stream, say): skip it. */
MUST_CHECK enum err mcp_message_parse(const char *line, size_t len,
                                      struct mcp_message *ret_message);

/* Overwrites each `secret` in `text`; one of less than six bytes is none. */
void mcp_hide(char *text, const char *secret);

#endif
