/* Inside the sandbox's Gmail. */
#ifndef MCPBUS_SANDBOX_GMAIL_H
#define MCPBUS_SANDBOX_GMAIL_H

#include "services/sandbox/sandbox.h"

/* Is the user in the path ("me" or an address) the token's own? False after a 403. */
bool gmail_is_own(struct call *call);
/* Answers with a message's ids and labels. */
void gmail_reply_minimal(struct call *call, const json_t *mail);
bool gmail_labels_exist(const json_t *labels);

#endif
