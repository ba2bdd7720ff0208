/* Sessions, revocations and redeemed nonces in PostgreSQL: the only file of auth that knows SQL.
 * Every function ends with one call back, later, from the loop. Loop's thread only. */
#ifndef MCPBUS_AUTH_STORE_H
#define MCPBUS_AUTH_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "libcommon/loop.h"

struct store;

MUST_CHECK enum err store_new(struct loop *loop, const char *database_url,
                              struct store **ret_store);
const char *store_problem(const struct store *store); /* pg_problem's */
void store_destroy(struct store **store_p); /* what is under way ends with ERR_CANCELLED */

/* A row of user_sessions, texts of json columns as they are; all borrowed, any may be NULL but
 * user_id and token_data. */
struct store_session {
    const char *user_id, *token_data, *selected_scopes, *granted_scopes, *user_data;
    bool authenticated;
    int64_t generation; /* for a token made now */
};

/* ERR_OK with a NULL session: there is none. `generation` is given then, too. */
typedef void store_session_fn(void *arg, enum err err, const struct store_session *session,
                              int64_t generation);
void store_session_get(struct store *store, const char *user_id, store_session_fn *done, void *arg);

/* The account of a sign-in: the row with this `sub`, else a row of the original's that is the same
 * person's (its user_data holds the same id, or the same email when that is verified; NULL
 * otherwise). */
void store_account_find(struct store *store, const char *sub, const char *verified_email,
                        store_session_fn *done, void *arg);

/* A sign-in's outcome. */
struct store_signin {
    const char *user_id, *sub, *token_data, *selected_scopes, *granted_scopes, *user_data;
};

/* ERR_OK: written, `value` is the generation for its token. ERR_CONFLICT: somebody was faster, find
 * the account again. */
typedef void store_value_fn(void *arg, enum err err, int64_t value);
void store_signin_insert(struct store *store, const struct store_signin *signin,
                         store_value_fn *done, void *arg);
void store_signin_update(struct store *store, const struct store_signin *signin,
                         store_value_fn *done, void *arg);

/* Redeems a nonce; ERR_CONFLICT: it was before. */
void store_nonce_redeem(struct store *store, const char *nonce, int64_t expires_at,
                        store_value_fn *done, void *arg);

/* Replaces token_data, unless it is no longer `before` (as it was read); `value` is 1 or 0. */
void store_tokens_replace(struct store *store, const char *user_id, const char *before,
                          const char *token_data, store_value_fn *done, void *arg);
/* The consent behind `before` is withdrawn: authenticated becomes false. */
void store_consent_lost(struct store *store, const char *user_id, const char *before,
                        store_value_fn *done, void *arg);

/* Ends the user's tokens (forget: and deletes the session); `value` is the revocation's sequence
 * number. A user needs no session for it. */
void store_revoke(struct store *store, const char *user_id, bool forget, store_value_fn *done,
                  void *arg);

struct store_revocation {
    int64_t seq, generation, at; /* seconds since 1970 */
    const char *user_id;
};
/* Revocations behind `after`, at most 1,000, oldest first. `seq`: of the last one; without any, the
 * newest that there ever was. */
typedef void store_revocations_fn(void *arg, enum err err, int64_t seq,
                                  const struct store_revocation *list, size_t count);
void store_revocations(struct store *store, int64_t after, store_revocations_fn *done, void *arg);

/* `value` is 1 when a token of this generation (−1: none) and time of issue is good, else 0. */
void store_token_check(struct store *store, const char *user_id, int64_t generation,
                       int64_t issued_at, store_value_fn *done, void *arg);

/* For operators: users by their address, the latest first, at most 20. The array, borrowed, has
 * {user_id, email, name, authenticated, updated_at}; NULL on an error. Not by an index: it reads
 * all users. */
typedef void store_users_fn(void *arg, enum err err, const json_t *users);
void store_users_find(struct store *store, const char *email, store_users_fn *done, void *arg);

/* A row of audit_log; texts are copied, any but `event` and `outcome` may be NULL; `detail` is
 * JSON. A row that can't be kept is said in the log. */
struct store_audit {
    const char *event, *outcome, *user_id, *job_id, *address, *request_id, *detail;
};
void store_audit_add(struct store *store, const struct store_audit *audit);
size_t store_audit_pending(const struct store *store);
/* Deletes a batch of rows that are older; `value` is how many. */
void store_audit_clean(struct store *store, int64_t days, store_value_fn *done, void *arg);
/* Adds user_forgotten's row: from now on what is added of this user, by any replica, is no
 * person's. To be called once, before store_audit_erase. */
void store_audit_forgotten(struct store *store, const char *mark, store_value_fn *done, void *arg);
/* In a batch of the user's rows `mark` takes the user's place, and all but the event goes; `value`
 * is how many, call again until there are none. */
void store_audit_erase(struct store *store, const char *user_id, const char *mark,
                       store_value_fn *done, void *arg);
/* The same for a batch of whatever rows of forgotten users are there still. */
void store_audit_erase_rest(struct store *store, store_value_fn *done, void *arg);

/* Does the database answer? */
void store_probe(struct store *store, store_value_fn *done, void *arg);

/* Deletes a batch of what has run out; `value` is how many. */
void store_nonces_clean(struct store *store, store_value_fn *done, void *arg);
void store_revocations_clean(struct store *store, store_value_fn *done, void *arg);
/* A session behind `after` (a user_id) whose tokens aren't sealed with this key: with another, or
 * not at all, as the original wrote them. */
void store_session_unsealed(struct store *store, const char *after, const char *key_id,
                            store_session_fn *done, void *arg);

#endif
