/* What a browser that has signed in carries: a sealed cookie, so that every replica with the same
 * secret reads it and none keeps a list. Pure but for login_keys_init without a secret. */
#ifndef MCPBUS_MONITOR_LOGIN_TICKET_H
#define MCPBUS_MONITOR_LOGIN_TICKET_H

#include <stddef.h>
#include <stdint.h>

#include "libcommon/crypto.h"
#include "libcommon/err.h"

enum {
    TICKET_LIFE_S = 12 * 3600,
    TICKET_NAME_SIZE = 256,
    TICKET_HOW_SIZE = 16,
    TICKET_MAX_BYTES = 2048,
    TICKET_COOKIE_SIZE = 40,
    TICKET_MAC_SIZE = 44, /* base64url of 32 bytes */
};

/* The first seals, both open: a second secret is the one before, or the next. */
struct login_keys {
    uint8_t keys[2][CRYPTO_KEY_BYTES];
    size_t count;
};

/* `previous` may be NULL. Without a `secret` a random one that ends with the process. */
void login_keys_init(struct login_keys *keys, const char *secret, const char *previous);

struct ticket {
    char name[TICKET_NAME_SIZE]; /* "token", or an account's address */
    char how[TICKET_HOW_SIZE];   /* "token", "google" */
    int64_t expires_at;          /* seconds since 1970 */
};

/* free() the text. */
char *ticket_seal(const struct login_keys *keys, const struct ticket *ticket);
/* ERR_INVALID: not sealed with these keys; ERR_EXPIRED: too old, or it says that it lives longer
 * than a ticket does. */
MUST_CHECK enum err ticket_open(const struct login_keys *keys, const char *sealed, int64_t now,
                                struct ticket *ret_ticket);

/* The cookie's name under the key `index`: browsers don't tell the ports of a host apart, so stacks
 * on one machine would sign each other's people out by one name. */
void ticket_cookie_name(const struct login_keys *keys, size_t index,
                        char ret_name[TICKET_COOKIE_SIZE]);

/* What binds an OAuth state to the browser that began with it. */
void ticket_bind(const struct login_keys *keys, size_t index, const char *state,
                 char ret_mac[TICKET_MAC_SIZE]);

#endif
