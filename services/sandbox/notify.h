/* The mails that Google's products send by themselves: invitations, shared files. */
#ifndef MCPBUS_SANDBOX_NOTIFY_H
#define MCPBUS_SANDBOX_NOTIFY_H

#include "services/sandbox/sandbox.h"

/* Puts a mail into the inbox of `to`, if that is an account that has signed in. */
void notify_mail(struct call *call, const char *to, const char *subject, const char *text);

#endif
