/* The scopes that Gmail's methods take. Any one of a mask's bits allows the method. */
#ifndef MCPBUS_GOOGLE_SCOPES_GMAIL_H
#define MCPBUS_GOOGLE_SCOPES_GMAIL_H

#include "services/google/scopes.h"

enum scopes_gmail {
    /* users.messages.list and .get with bodies and search; gmail.metadata gives neither. */
    SCOPES_GMAIL_READ = SCOPE_MAIL | SCOPE_GMAIL_MODIFY | SCOPE_GMAIL_READONLY,
    SCOPES_GMAIL_LABELS_LIST = SCOPES_GMAIL_READ | SCOPE_GMAIL_LABELS | SCOPE_GMAIL_METADATA,
    /* users.messages.send. */
    SCOPES_GMAIL_SEND = SCOPE_MAIL | SCOPE_GMAIL_MODIFY | SCOPE_GMAIL_COMPOSE | SCOPE_GMAIL_SEND,
    /* users.messages.modify and .trash. */
    SCOPES_GMAIL_MODIFY = SCOPE_MAIL | SCOPE_GMAIL_MODIFY,
    /* users.messages.delete, for good. */
    SCOPES_GMAIL_DELETE = SCOPE_MAIL,
};

#endif
