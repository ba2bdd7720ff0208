/* Messages of a conversation as every endpoint takes them: names and arguments are made legal,
 * whatever a model has said. Pure. */
#ifndef MCPBUS_WORKER_AGENT_MESSAGE_H
#define MCPBUS_WORKER_AGENT_MESSAGE_H

#include <jansson.h>

/* {role, content}. Bytes that are not UTF-8 become U+FFFD. */
json_t *agent_message(const char *role, const char *text);
/* The answer to a call. */
json_t *agent_message_result(const char *id, const char *text);
/* A model's turn with calls (consumed, an array of agent_message_call); `text` may be "". */
json_t *agent_message_calls(const char *text, json_t *calls);
/* One call. Arguments that are no object stand in one under the key "malformed": many endpoints
 * read the arguments of a conversation, and refuse it whole. */
json_t *agent_message_call(const char *id, const char *name, const json_t *arguments);

#endif
