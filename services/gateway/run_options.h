/* What POST /run takes beside the message: a conversation, an address to tell, and options of the
 * run. */
#ifndef MCPBUS_GATEWAY_RUN_OPTIONS_H
#define MCPBUS_GATEWAY_RUN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>

struct call;

struct run_options {
    const char *conversation_id; /* borrowed from the body; NULL: none */
    const char *callback_url;    /* likewise */
    json_t *more;                /* the options' object, the caller's; NULL: none */
};

/* From a body, NULL when there is nothing but a message. False: answered with a 422. Members that
 * nobody knows are ignored. */
bool run_options_read(struct call *call, const json_t *body, struct run_options *ret_options);
/* callback_url.c: likewise; NULL: none. */
bool callback_url_read(struct call *call, const json_t *body, const char **ret_url);
bool run_options_any(const struct run_options *options);
/* A text that is the same for the same request, however it was written; free() it. */
char *run_options_identity(const struct run_options *options, const char *message);

#endif
