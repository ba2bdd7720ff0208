/* What the pg*.c files share; nobody else includes it. */
#ifndef MCPBUS_PG_INTERNAL_H
#define MCPBUS_PG_INTERNAL_H

#include <libpq-fe.h>

#include "libcommon/pg.h"

enum {
    PG_IN_FLIGHT_MAX = 64,
    PG_PREPARED_MAX = 128,
    PG_CONNECTIONS_MAX = 16,
    PG_HOSTS_MAX = 16,
    PG_RETRIES_MAX = 10,
    PG_PROBLEM_SIZE = 400,
    PG_SYSTEM_SIZE = 32,
    PG_STEPS_MAX = 4, /* of a statement and its scope: preparing and running each */
};

/* What begins a connection: does a commit last; is this a primary that was replaced; whose commits
 * wait for a standby though we gave them up; the owner's setup. */
enum pg_check { PG_CHECK_DURABILITY, PG_CHECK_TIMELINE, PG_CHECK_ABANDONED, PG_CHECK_SETUP };

/* A statement on its way: waiting (in pg's or a connection's list), then in flight. */
struct pg_task {
    struct pg_task *next;
    const struct pg_statement *statement; /* NULL: the check that begins a connection */
    const struct pg_statement *scope;     /* runs before it; may be NULL */
    char **values;                        /* one block of memory; the scope's is behind them */
    int count;
    int connection; /* to prefer; −1: any */
    int64_t timeout_ms, deadline, sent_at;
    int64_t sent_us; /* for the metrics; 0: not sent */
    bool sent;       /* at least once: its outcome may be unknown */
    /* What each result that comes back is of; the failed one is kept. */
    struct pg_step {
        const struct pg_statement *statement;
        bool prepares;
    } steps[PG_STEPS_MAX], failed;
    unsigned step_count, step;
    enum pg_check check;
    bool doubtful; /* committed, but no standby confirmed it */
    unsigned retries;
    PGresult *result; /* kept until the pipeline's sync */
    enum err error;
    pg_done_fn *done;
    void *arg;
};

struct pg_list {
    struct pg_task *head, **tail;
    size_t count;
};

enum pg_conn_state { PG_CONN_WAITING, PG_CONN_CONNECTING, PG_CONN_CHECKING, PG_CONN_READY };

struct pg_conn {
    struct pg *pg;
    unsigned index;
    enum pg_conn_state state;
    PGconn *conn;
    int fd; /* watched, or −1 */
    uint32_t events;
    int64_t backoff_ms;
    unsigned host; /* that the next attempt tries */
    /* The cluster and its timeline: a promotion begins a new one. 0: unknown. */
    char system[PG_SYSTEM_SIZE];
    int64_t timeline;
    struct loop_timer *timer; /* reconnection, then the limit of an attempt */
    struct pg_list waiting, in_flight;
    const struct pg_statement *prepared[PG_PREPARED_MAX];
    unsigned prepared_count;
};

struct pg {
    struct loop *loop;
    /* Keywords and values for libpq; the host, hostaddr and port of attempt n are replaced. */
    PQconninfoOption *conninfo;
    char *application, *setup;
    bool allow_unsafe;
    char **hosts, **hostaddrs, **ports;
    unsigned host_count, hostaddr_count, port_count;
    struct pg_conn *conns;
    unsigned conn_count;
    size_t waiting_max, waiting_count; /* over all lists */
    struct pg_list waiting, failed;
    struct loop_timer *deadlines, *failures;
    char problem[PG_PROBLEM_SIZE], server[PG_PROBLEM_SIZE];
};

void pg_list_init(struct pg_list *list);
void pg_list_push(struct pg_list *list, struct pg_task *task);
struct pg_task *pg_list_pop(struct pg_list *list);
/* All of `front` goes before what `list` has; `front` is empty then. */
void pg_list_prepend(struct pg_list *list, struct pg_list *front);

/* Calls done and frees the task. */
void pg_task_end(struct pg_task *task, enum err error, const PGresult *result);
void pg_task_free(struct pg_task *task);
/* Puts a task that was sent back to the front of where it waits. */
void pg_task_requeue(struct pg *pg, struct pg_list *tasks);

void pg_conn_init(struct pg_conn *conn, struct pg *pg, unsigned index, int64_t begin_after_ms);
void pg_conn_fini(struct pg_conn *conn); /* moves what it has to pg->failed */
/* Sends what waits, as far as there is room. */
void pg_conn_pump(struct pg_conn *conn);
/* Ends a connection whose answer is overdue, or whose server was replaced. */
void pg_conn_check(struct pg_conn *conn);

/* What a failed statement's SQLSTATE means. */
enum pg_verdict {
    PG_VERDICT_FAILED,
    PG_VERDICT_AGAIN,
    PG_VERDICT_UNPREPARED,
    PG_VERDICT_PREPARED, /* already, by whom a pooler gave this server connection before */
    PG_VERDICT_LOST,
    PG_VERDICT_MOVED
};
enum pg_verdict pg_judge(const char *sqlstate, enum err *ret_error);

#endif
