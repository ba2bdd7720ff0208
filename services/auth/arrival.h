/* A browser that came back from the provider: what it brings is judged, its code exchanged, its
 * user asked for. Then whoever has begun the sign-in goes on. Loop's thread only. */
#ifndef MCPBUS_AUTH_ARRIVAL_H
#define MCPBUS_AUTH_ARRIVAL_H

#include "services/auth/auth.h"
#include "services/auth/state.h"

/* Until it is answered. */
struct arrival {
    const struct arrival_kind *kind;
    struct auth *auth;
    struct bus_call *call;
    json_t *args;
    struct state state;
    char *user_id; /* once it is known */
};

/* What differs. */
struct arrival_kind {
    enum state_purpose purpose;
    size_t size;        /* of the struct that begins with the arrival */
    const char *failed; /* the audit log's event */
    char *(*redirect_uri)(const struct arrival *arrival); /* that of the beginning; free() it */
    void (*on_tokens)(struct arrival *arrival, const struct google_tokens *tokens); /* or NULL */
    void (*on_profile)(struct arrival *arrival, const json_t *profile); /* ends the arrival */
    void (*fini)(struct arrival *arrival); /* of what is behind it; or NULL */
};

/* A call with `code`, `state` and `error` in its arguments. What fails has been answered. */
void arrival_begin(const struct arrival_kind *kind, struct auth *auth, struct bus_call *call,
                   json_t *args);

/* Three ways to end it; the last when the call has been answered. */
void arrival_fail(struct arrival *arrival, enum err err, const char *why);
void arrival_fail_in_store(struct arrival *arrival, enum err err);
void arrival_destroy(struct arrival **arrival_p);

#endif
