/* What the parts of the auth service share. Loop's thread only. */
#ifndef MCPBUS_AUTH_AUTH_H
#define MCPBUS_AUTH_AUTH_H

#include "libcommon/bus.h"
#include "libcommon/loop.h"
#include "libcommon/service.h"
#include "services/auth/google.h"
#include "services/auth/store.h"
#include "services/auth/tokens.h"
#include "services/settings.h"

struct refresh;
struct sealing;

struct auth {
    const struct settings *settings;
    struct loop *loop;
    struct bus *bus;
    struct store *store;
    struct google *google;
    struct token_keys keys;
    uint8_t state_key[CRYPTO_KEY_BYTES], state_key_previous[CRYPTO_KEY_BYTES];
    char *redirect_uri;        /* where nothing better is known of the browser */
    bool redirect_fixed;       /* configured */
    struct refresh *refreshes; /* under way, one for each user at the most */
    struct bus_reach *reach;
    struct loop_timer *sweep;
    struct sealing *sealing; /* the pass under way, or NULL */
    int64_t seal_at_ms;      /* loop_now: when the next begins */
};

static inline struct auth *auth_of(void *service)
{
    return ((struct service *)service)->state;
}

/* Answers with what a store's error means to a caller. */
void auth_reply_store_error(struct bus_call **call_p, enum err err);

/* The methods (proto/protocol.json, auth.*). */
bus_handler_fn oauth_begin, oauth_callback;
bus_handler_fn identify_begin, identify_callback;
bus_handler_fn sessions_status, sessions_login, sessions_logout, sessions_forget;
bus_handler_fn sessions_revocations, sessions_check, sessions_find;
bus_handler_fn access_google;

/* Begins the periodic work: expired nonces and revocations go, plain tokens of the original's rows
 * are sealed. */
void sweep_start(struct auth *auth);

/* seal.c: a pass over the sessions whose tokens aren't sealed with the key that seals now. `done`
 * when it has ended, never from within. One at a time. */
void seal_start(struct auth *auth, void (*done)(struct auth *auth));
void seal_destroy(struct auth *auth);

#endif
