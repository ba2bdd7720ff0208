/* What strangers' headers say to the sign-in, and the list of who may. Pure. */
#ifndef MCPBUS_MONITOR_LOGIN_READ_H
#define MCPBUS_MONITOR_LOGIN_READ_H

#include <stdbool.h>
#include <stddef.h>

enum { LOGIN_HEADER_MAX = 4096, LOGIN_SECRET_MAX = 512 };

/* The value of the cookie `name` of a Cookie header, the first of that name; NULL: not there, or
 * the header is too long. free() it. */
char *login_read_cookie(const char *header, const char *name);

/* The secret of an Authorization header, a Bearer token or the password of Basic; NULL: neither, or
 * too long. mem_free_secret() it. */
char *login_read_authorization(const char *header, bool *ret_basic);

/* Is `origin` (a browser's Origin header) that of the page at `host` (the Host header), with https
 * or, unless `https`, http as well? Or that of `public_url` (may be NULL)? */
bool login_is_own_origin(const char *origin, const char *host, bool https, const char *public_url);

/* Addresses with commas. */
bool login_admins_are_good(const char *admins);
/* Case does not count. */
bool login_admins_have(const char *admins, const char *email);

#endif
