#include "services/auth/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcommon/mem.h"
#include "services/auth/store_internal.h"

enum {
    CONNECTIONS = 2,
    WAITING_MAX = 4096,
    TIMEOUT_MS = 5000,
    REVOCATIONS_MAX = 1000, /* as in sql_revocations */
    NUMBER_SIZE = 24,
};

/* A token's generation is the number of the newest revocation of any user when it was made: a later
 * one of its user's is always above it, across logout, forgetting and signing in anew. */
#define SQL_GENERATION "COALESCE((SELECT seq FROM token_revocation_counter), 0)"
#define SQL_SESSION                                                                    \
    "s.user_id, s.token_data::text, s.selected_scopes::text, s.granted_scopes::text, " \
    "s.user_data::text, COALESCE(s.authenticated, false)"

static const struct pg_statement sql_probe = {
    .name = "probe",
    .idempotent = true,
    .sql = "SELECT 1",
};

static const struct pg_statement sql_session_get = {
    .name = "session_get",
    .idempotent = true,
    .sql = "SELECT g.generation, " SQL_SESSION " FROM (SELECT " SQL_GENERATION " AS generation) g "
           "LEFT JOIN user_sessions s ON s.user_id = $1",
};

/* An address may pass to another person: a row that names another account is never taken by its
 * address. (Google's account numbers have 18 digits and more; an id that is none says nothing.) */
static const struct pg_statement sql_account_find = {
    .name = "account_find",
    .idempotent = true,
    .sql = "WITH found AS ("
           "SELECT user_id, 0 AS rank FROM user_sessions WHERE google_sub = $1 "
           "UNION ALL SELECT user_id, 1 FROM user_sessions WHERE google_sub IS NULL "
           "AND (user_data->>'sub' = $1 OR user_data->>'id' = $1 OR user_id = $1) "
           "UNION ALL SELECT user_id, 2 FROM user_sessions WHERE google_sub IS NULL "
           "AND lower(user_data->>'email') = lower($2) "
           "AND COALESCE(user_data->>'sub', "
           "CASE WHEN user_data->>'id' ~ '^[0-9]{18,}$' THEN user_data->>'id' END, $1) = $1) "
           "SELECT " SQL_GENERATION ", " SQL_SESSION " FROM found JOIN user_sessions s "
           "USING (user_id) ORDER BY found.rank, s.updated_at DESC NULLS LAST LIMIT 1",
};

static const struct pg_statement sql_signin_insert = {
    .name = "signin_insert",
    .idempotent = true,
    .sql = "INSERT INTO user_sessions (user_id, google_sub, token_data, selected_scopes, "
           "granted_scopes, user_data, authenticated, generation, created_at, updated_at) "
           "VALUES ($1, $2, $3::json, $4::json, $5::json, $6::json, true, " SQL_GENERATION
           ", now(), now()) RETURNING generation",
};

static const struct pg_statement sql_signin_update = {
    .name = "signin_update",
    .idempotent = true,
    .sql = "UPDATE user_sessions SET google_sub = $2, token_data = $3::json, "
           "selected_scopes = $4::json, granted_scopes = $5::json, user_data = $6::json, "
           "authenticated = true, updated_at = now() WHERE user_id = $1 "
           "AND (google_sub = $2 OR google_sub IS NULL) RETURNING " SQL_GENERATION,
};

static const struct pg_statement sql_nonce_redeem = {
    .name = "nonce_redeem",
    .sql = "INSERT INTO oauth_nonces (nonce, expires_at) VALUES ($1, to_timestamp($2::bigint)) "
           "ON CONFLICT DO NOTHING RETURNING 1",
};

static const struct pg_statement sql_tokens_replace = {
    .name = "tokens_replace",
    .idempotent = true,
    .sql = "WITH done AS (UPDATE user_sessions SET token_data = $3::json, updated_at = now() "
           "WHERE user_id = $1 AND token_data::text = $2 RETURNING 1) SELECT count(*) FROM done",
};

static const struct pg_statement sql_consent_lost = {
    .name = "consent_lost",
    .idempotent = true,
    .sql = "WITH done AS (UPDATE user_sessions SET authenticated = false, updated_at = now() "
           "WHERE user_id = $1 AND token_data::text = $2 RETURNING 1) SELECT count(*) FROM done",
};

/* clock_timestamp(): the counter's lock may have been waited for, and what was issued meanwhile is
 * ended too. */
#define SQL_REVOKE(change)                                                                \
    "WITH counter AS (UPDATE token_revocation_counter SET seq = seq + 1 RETURNING seq), " \
    "changed AS (" change ") INSERT INTO token_revocations (seq, user_id, generation, "   \
    "revoked_at) SELECT seq, $1, seq, clock_timestamp() FROM counter RETURNING seq"

static const struct pg_statement sql_logout = {
    .name = "logout",
    .idempotent = true,
    .sql = SQL_REVOKE("UPDATE user_sessions SET generation = counter.seq, updated_at = now() "
                      "FROM counter WHERE user_id = $1"),
};

#define SQL_MARK                                                                                  \
    "INSERT INTO audit_log (event, outcome, user_id) SELECT 'user_forgotten', 'ok', " STORE_MARK( \
        "$1")

static const struct pg_statement sql_forget = {
    .name = "forget",
    .idempotent = true,
    /* With its row of the audit log, by which replicas know to write no more of this user. */
    .sql = SQL_REVOKE("DELETE FROM user_sessions WHERE user_id = $1), marked AS (" SQL_MARK),
};

static const struct pg_statement sql_revocations = {
    .name = "revocations",
    .idempotent = true,
    .sql = "SELECT " SQL_GENERATION ", r.seq, r.user_id, r.generation, "
           "floor(extract(epoch FROM r.revoked_at))::bigint "
           "FROM (SELECT 1) one LEFT JOIN (SELECT * FROM token_revocations "
           "WHERE seq > $1::bigint ORDER BY seq LIMIT 1000) r ON true ORDER BY r.seq",
};

static const struct pg_statement sql_token_check = {
    .name = "token_check",
    .idempotent = true,
    .sql = "SELECT CASE WHEN EXISTS (SELECT 1 FROM token_revocations WHERE user_id = $1 "
           "AND CASE WHEN $2::bigint < 0 THEN floor(extract(epoch FROM revoked_at)) >= $3::bigint "
           "ELSE generation > $2::bigint END) "
           "OR ($2::bigint >= 0 AND EXISTS (SELECT 1 FROM user_sessions WHERE user_id = $1 "
           "AND generation > $2::bigint)) THEN 0 ELSE 1 END",
};

static const struct pg_statement sql_users_find = {
    .name = "users_find",
    .idempotent = true,
    .sql = "SELECT user_id, user_data->>'email', user_data->>'name', "
           "COALESCE(authenticated, false), to_char(updated_at AT TIME ZONE 'UTC', "
           "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM user_sessions "
           "WHERE lower(user_data->>'email') = lower($1) "
           "ORDER BY updated_at DESC NULLS LAST, user_id LIMIT 20",
};

static const struct pg_statement sql_nonces_clean = {
    .name = "nonces_clean",
    .idempotent = true,
    .sql = "WITH gone AS (DELETE FROM oauth_nonces WHERE nonce IN (SELECT nonce FROM oauth_nonces "
           "WHERE expires_at < now() - interval '10 minutes' LIMIT 500) RETURNING 1) "
           "SELECT count(*) FROM gone",
};

static const struct pg_statement sql_revocations_clean = {
    .name = "revocations_clean",
    .idempotent = true,
    .sql = "WITH gone AS (DELETE FROM token_revocations WHERE seq IN (SELECT seq FROM "
           "token_revocations WHERE revoked_at < now() - interval '25 hours' LIMIT 500) "
           "RETURNING 1) SELECT count(*) FROM gone",
};

static const struct pg_statement sql_session_unsealed = {
    .name = "session_unsealed",
    .idempotent = true,
    .sql = "SELECT " SQL_GENERATION ", " SQL_SESSION " FROM user_sessions s WHERE s.user_id > $1 "
           "AND position('token' IN s.token_data::text) > 0 "
           "AND position('\"v1.' || $2 || '.' IN s.token_data::text) = 0 "
           "ORDER BY s.user_id LIMIT 1",
};

struct pending {
    store_session_fn *session;
    store_value_fn *value;
    store_revocations_fn *revocations;
    store_users_fn *users;
    void *arg;
};

enum err store_new(struct loop *loop, const char *database_url, struct store **ret_store)
{
    struct store *store = mem_alloc(sizeof(*store));
    enum err err = pg_new(loop,
                          &(struct pg_options){.url = database_url,
                                               .application = "mcpbus-auth",
                                               .connections = CONNECTIONS,
                                               .waiting_max = WAITING_MAX},
                          &store->pg);
    if (err) {
        free(store);
        return err;
    }
    store_audit_init(store);
    *ret_store = store;
    return ERR_OK;
}

const char *store_problem(const struct store *store)
{
    return pg_problem(store->pg);
}

void store_destroy(struct store **store_p)
{
    struct store *store = *store_p;
    if (!store)
        return;
    *store_p = NULL;
    store_audit_fini(store);
    pg_destroy(&store->pg);
    free(store);
}

static void exec(struct store *store, const struct pg_statement *sql, const char *const *values,
                 int count, pg_done_fn *done, const struct pending *pending)
{
    struct pending *copy = mem_alloc(sizeof(*copy));
    *copy = *pending;
    pg_exec(store->pg, sql, -1, TIMEOUT_MS, values, count, done, copy);
}

static void on_session(void *arg, enum err err, const struct pg_rows *rows)
{
    AUTOFREE struct pending *pending = arg;
    if (err || pg_rows_count(rows) == 0) {
        pending->session(pending->arg, err, NULL, 0);
        return;
    }
    int64_t generation = pg_rows_int(rows, 0, 0, 0);
    const struct store_session session = {.user_id = pg_rows_text(rows, 0, 1),
                                          .token_data = pg_rows_text(rows, 0, 2),
                                          .selected_scopes = pg_rows_text(rows, 0, 3),
                                          .granted_scopes = pg_rows_text(rows, 0, 4),
                                          .user_data = pg_rows_text(rows, 0, 5),
                                          .authenticated = pg_rows_bool(rows, 0, 6),
                                          .generation = generation};
    pending->session(pending->arg, ERR_OK, session.user_id ? &session : NULL, generation);
}

static void on_value(void *arg, enum err err, const struct pg_rows *rows)
{
    AUTOFREE struct pending *pending = arg;
    if (!err && pg_rows_count(rows) == 0)
        err = ERR_CONFLICT;
    pending->value(pending->arg, err, err ? 0 : pg_rows_int(rows, 0, 0, 0));
}

static void on_revocations(void *arg, enum err err, const struct pg_rows *rows)
{
    AUTOFREE struct pending *pending = arg;
    size_t count = err ? 0 : pg_rows_count(rows);
    if (count > REVOCATIONS_MAX)
        count = REVOCATIONS_MAX;
    AUTOFREE struct store_revocation *list = mem_alloc((count + 1) * sizeof(*list));
    size_t used = 0;
    int64_t seq = count ? pg_rows_int(rows, 0, 0, 0) : 0;
    for (size_t i = 0; i < count && pg_rows_text(rows, i, 1); i++) {
        seq = pg_rows_int(rows, i, 1, 0);
        list[used++] = (struct store_revocation){.seq = seq,
                                                 .user_id = pg_rows_text(rows, i, 2),
                                                 .generation = pg_rows_int(rows, i, 3, 0),
                                                 .at = pg_rows_int(rows, i, 4, 0)};
    }
    pending->revocations(pending->arg, err, seq, list, used);
}

static void on_users(void *arg, enum err err, const struct pg_rows *rows)
{
    AUTOFREE struct pending *pending = arg;
    json_t *users = err ? NULL : json_array();
    for (size_t i = 0; !err && i < pg_rows_count(rows); i++)
        json_array_append_new(
            users,
            json_pack("{s:s, s:s?, s:s?, s:b, s:s?}", "user_id", pg_rows_text(rows, i, 0), "email",
                      pg_rows_text(rows, i, 1), "name", pg_rows_text(rows, i, 2), "authenticated",
                      pg_rows_bool(rows, i, 3), "updated_at", pg_rows_text(rows, i, 4)));
    pending->users(pending->arg, err, users);
    json_decref(users);
}

void store_session_get(struct store *store, const char *user_id, store_session_fn *done, void *arg)
{
    exec(store, &sql_session_get, &user_id, 1, on_session,
         &(struct pending){.session = done, .arg = arg});
}

void store_account_find(struct store *store, const char *sub, const char *verified_email,
                        store_session_fn *done, void *arg)
{
    const char *const values[] = {sub, verified_email};
    exec(store, &sql_account_find, values, 2, on_session,
         &(struct pending){.session = done, .arg = arg});
}

static void signin_write(struct store *store, const struct pg_statement *sql,
                         const struct store_signin *signin, store_value_fn *done, void *arg)
{
    const char *const values[] = {signin->user_id,        signin->sub,
                                  signin->token_data,     signin->selected_scopes,
                                  signin->granted_scopes, signin->user_data};
    exec(store, sql, values, 6, on_value, &(struct pending){.value = done, .arg = arg});
}

void store_signin_insert(struct store *store, const struct store_signin *signin,
                         store_value_fn *done, void *arg)
{
    signin_write(store, &sql_signin_insert, signin, done, arg);
}

void store_signin_update(struct store *store, const struct store_signin *signin,
                         store_value_fn *done, void *arg)
{
    signin_write(store, &sql_signin_update, signin, done, arg);
}

void store_nonce_redeem(struct store *store, const char *nonce, int64_t expires_at,
                        store_value_fn *done, void *arg)
{
    char expires[NUMBER_SIZE];
    snprintf(expires, sizeof(expires), "%" PRId64, expires_at);
    const char *const values[] = {nonce, expires};
    exec(store, &sql_nonce_redeem, values, 2, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_tokens_replace(struct store *store, const char *user_id, const char *before,
                          const char *token_data, store_value_fn *done, void *arg)
{
    const char *const values[] = {user_id, before, token_data};
    exec(store, &sql_tokens_replace, values, 3, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_consent_lost(struct store *store, const char *user_id, const char *before,
                        store_value_fn *done, void *arg)
{
    const char *const values[] = {user_id, before};
    exec(store, &sql_consent_lost, values, 2, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_revoke(struct store *store, const char *user_id, bool forget, store_value_fn *done,
                  void *arg)
{
    exec(store, forget ? &sql_forget : &sql_logout, &user_id, 1, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_revocations(struct store *store, int64_t after, store_revocations_fn *done, void *arg)
{
    char number[NUMBER_SIZE];
    snprintf(number, sizeof(number), "%" PRId64, after);
    const char *const values[] = {number};
    exec(store, &sql_revocations, values, 1, on_revocations,
         &(struct pending){.revocations = done, .arg = arg});
}

void store_token_check(struct store *store, const char *user_id, int64_t generation,
                       int64_t issued_at, store_value_fn *done, void *arg)
{
    char texts[2][NUMBER_SIZE];
    snprintf(texts[0], NUMBER_SIZE, "%" PRId64, generation);
    snprintf(texts[1], NUMBER_SIZE, "%" PRId64, issued_at);
    const char *const values[] = {user_id, texts[0], texts[1]};
    exec(store, &sql_token_check, values, 3, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_users_find(struct store *store, const char *email, store_users_fn *done, void *arg)
{
    exec(store, &sql_users_find, &email, 1, on_users, &(struct pending){.users = done, .arg = arg});
}

void store_probe(struct store *store, store_value_fn *done, void *arg)
{
    exec(store, &sql_probe, NULL, 0, on_value, &(struct pending){.value = done, .arg = arg});
}

void store_nonces_clean(struct store *store, store_value_fn *done, void *arg)
{
    exec(store, &sql_nonces_clean, NULL, 0, on_value, &(struct pending){.value = done, .arg = arg});
}

void store_revocations_clean(struct store *store, store_value_fn *done, void *arg)
{
    exec(store, &sql_revocations_clean, NULL, 0, on_value,
         &(struct pending){.value = done, .arg = arg});
}

void store_session_unsealed(struct store *store, const char *after, const char *key_id,
                            store_session_fn *done, void *arg)
{
    const char *const values[] = {after, key_id};
    exec(store, &sql_session_unsealed, values, 2, on_session,
         &(struct pending){.session = done, .arg = arg});
}
