/* PostgreSQL without blocking: the one door to libpq (beside it only store.c files know SQL). A
 * fixed number of connections in pipeline mode on a loop; lost ones come back by themselves, and
 * what waits is sent then, until its deadline. Each statement is a transaction of its own, so a
 * result is reported only after its COMMIT (at the pipeline's sync). Loop's thread only. */
#ifndef MCPBUS_PG_H
#define MCPBUS_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/loop.h"

struct pg;
struct pg_rows;

/* Turns what DATABASE_URL may hold into what libpq takes: postgresql+asyncpg:// and postgres://
 * become postgresql://, asyncpg's ssl=… becomes sslmode=…. free() it. */
MUST_CHECK enum err pg_url_normalize(const char *url, char **ret_url);

struct pg_options {
    const char *url;
    const char *application; /* application_name */
    unsigned connections;
    size_t waiting_max; /* statements that may wait for a connection; more is ERR_OVERLOADED */
    const char
        *setup; /* a SELECT that each new connection runs first (set_config …); may be NULL */
    /* Use a server whose fsync or synchronous_commit is off (else no connection becomes ready and
     * pg_problem says why). */
    bool allow_unsafe;
    /* The first connection begins after so many milliseconds. The others follow 20 ms apart: each
     * is a process there that wants its share of the processor, while the first could be at work.
     */
    int64_t begin_after_ms;
};

/* Starts connecting; never waits. ERR_INVALID for a URL that libpq doesn't understand. */
MUST_CHECK enum err pg_new(struct loop *loop, const struct pg_options *options, struct pg **ret_pg);
/* Statements under way end with ERR_CANCELLED. */
void pg_destroy(struct pg **pg_p);
bool pg_connected(const struct pg *pg); /* at least one connection is ready */
/* Why no connection is ready, as a line for the log (it holds no secret); "" when one is. Borrowed
 * until the loop's next turn. */
const char *pg_problem(const struct pg *pg);
/* "host:port" of the server that the newest connection is with; "" when none is ready. Borrowed
 * until the loop's next turn. */
const char *pg_server(const struct pg *pg);
/* `why` in one line, with what to do about it, if that can be told. */
void pg_explain(const char *why, char *ret_text, size_t size);
/* Of PQserverVersion: why it is not used; NULL: it may be, or it does not say. */
const char *pg_too_old(int version);
size_t pg_pending(const struct pg *pg);

/* A statement, a static object: it is prepared once on each connection, under `name`. Parameters
 * $1… are text. */
struct pg_statement {
    const char *name, *sql;
    bool idempotent; /* sent again when the connection was lost while its outcome was unknown */
};

/* `error`: ERR_OK; ERR_CONFLICT (unique violation); ERR_INVALID (other 22xxx, 23xxx);
 * ERR_INTERNAL (anything else, logged with SQLSTATE); ERR_PEER_LOST (outcome unknown);
 * ERR_TIMEOUT (not sent by its deadline, or ended by the server's statement_timeout or
 * lock_timeout: nothing happened); ERR_OVERLOADED (too many wait, or the server's disk is full).
 * `rows` is borrowed, NULL unless ERR_OK. */
typedef void pg_done_fn(void *arg, enum err error, const struct pg_rows *rows);

/* Sends a statement; `done` is called once, later, from the loop. `values` are copied; a NULL value
 * is SQL's NULL. `connection`: −1 for the one with the least to do, else the one to prefer, while
 * it is ready (statements on one connection keep their order until it is lost). */
void pg_exec(struct pg *pg, const struct pg_statement *statement, int connection,
             int64_t timeout_ms, const char *const *values, int count, pg_done_fn *done, void *arg);

/* The same in a scope: in the statement's own transaction, on whichever connection is free, the
 * statement `scope` runs first, with `value` as its $1 (set_config('…', $1, true)); what it sets
 * ends with the transaction. */
void pg_exec_scoped(struct pg *pg, const struct pg_statement *scope, const char *value,
                    const struct pg_statement *statement, int64_t timeout_ms,
                    const char *const *values, int count, pg_done_fn *done, void *arg);

size_t pg_rows_count(const struct pg_rows *rows);
const char *pg_rows_text(const struct pg_rows *rows, size_t row, int column); /* NULL: SQL's NULL */
size_t pg_rows_len(const struct pg_rows *rows, size_t row, int column);
int64_t pg_rows_int(const struct pg_rows *rows, size_t row, int column, int64_t def);
bool pg_rows_bool(const struct pg_rows *rows, size_t row, int column);

/* Text of a PostgreSQL array, built an element at a time: begin, add…, end. */
void pg_array_begin(struct buf *buf);
void pg_array_add(struct buf *buf, const char *text, size_t len); /* quoted and escaped */
void pg_array_add_null(struct buf *buf);
void pg_array_add_int(struct buf *buf, int64_t value);
void pg_array_end(struct buf *buf);

/* Group commit: items gather while the batch before them is in flight, and go out together as soon
 * as a writer is free; no timer, so a lone item waits for nothing and a flood is committed in
 * hundreds. A batch whose connection was lost is sent again when its statement is idempotent. One
 * that ends with ERR_INVALID or ERR_CONFLICT, or with ERR_TIMEOUT before its deadline, is repeated
 * an item at a time, so that only the item that is to blame fails. */
struct pg_group;

struct pg_group_options {
    struct pg *pg;
    unsigned first_connection, writers; /* the connections that it uses */
    unsigned batch_max;                 /* items in a batch */
    size_t waiting_max;                 /* items that may wait; more is refused */
    const struct pg_statement *statement;
    /* With the same parameters and columns: a batch that ended with ERR_CONFLICT is repeated with
     * this at once, whole. NULL: none. */
    const struct pg_statement *careful;
    int params;
    int64_t timeout_ms; /* of a batch, waiting for a connection included */
    /* Turns `count` items into the statement's parameters, by buf_* on params[i]. Called again with
     * fewer when the parameters pass 16 MiB; one item alone may have 64 MiB for each parameter,
     * else it is ERR_TOO_LARGE. */
    void (*encode)(void *arg, void *const *items, size_t count, struct buf *params);
    /* The batch's outcome; the items are the owner's again. */
    void (*done)(void *arg, void *const *items, size_t count, enum err error,
                 const struct pg_rows *rows);
    void *arg;
};

struct pg_group *pg_group_new(const struct pg_group_options *options);
void pg_group_destroy(struct pg_group **group_p); /* before its pg; no `done` for what waits */
/* ERR_OVERLOADED when too many wait; the item then stays the caller's. */
MUST_CHECK enum err pg_group_add(struct pg_group *group, void *item);
size_t pg_group_pending(const struct pg_group *group);
/* While `first` has items, this group gathers: until `enough` wait, or the oldest has waited for
 * `wait_ms`. So what people wait for comes first under load, and the rest costs less in larger
 * batches. `first` must live as long. */
void pg_group_yield(struct pg_group *group, const struct pg_group *first, unsigned enough,
                    int64_t wait_ms);

/* A blocking connection for programs without a loop (mcpbus migrate): runs SQL text, which may hold
 * several statements. ERR_CONFLICT: something is there already (a unique violation, a table);
 * ERR_TIMEOUT: lock_timeout passed, or a deadlock; ERR_PEER_LOST: no connection; ERR_INTERNAL:
 * anything else. `ret_why` (512 bytes) has PostgreSQL's message, without a row's values. */
struct pg_blocking;
MUST_CHECK enum err pg_blocking_open(const char *url, struct pg_blocking **ret_pg, char *ret_why);
void pg_blocking_close(struct pg_blocking **pg_p);
MUST_CHECK enum err pg_blocking_run(struct pg_blocking *pg, const char *sql, char *ret_why);
/* One value of the first row, NULL when there is none; free() it. */
MUST_CHECK enum err pg_blocking_value(struct pg_blocking *pg, const char *sql,
                                      const char *const *values, int count, char **ret_value,
                                      char *ret_why);

#endif
