/* One connection: connecting, checking, pipelining, losing, coming back. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libcommon/crypto.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/pg_internal.h"

enum {
    BACKOFF_MIN_MS = 50,
    BACKOFF_MAX_MS = 1000,
    ATTEMPT_MAX_MS = 5000,
    /* Behind the server's own statement_timeout: nothing is coming any more. */
    OVERDUE_MS = 35000,
};

/* Waiting for a lock or the disk must end; no transaction of ours may stay open and pin dead rows;
 * no statement is worth more than one processor. Sent as a query since poolers refuse the startup
 * packet's `options`. The server, too, must notice that we were cut off: what it keeps for us would
 * hold locks and one of its connections for two hours. */
static const char check_sql[] =
    "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
    " set_config('statement_timeout', '30000', false), set_config('lock_timeout', '5000', false),"
    " set_config('idle_in_transaction_session_timeout', '30000', false),"
    " set_config('tcp_keepalives_idle', '5', false),"
    " set_config('tcp_keepalives_interval', '2', false),"
    " set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false),"
    " set_config('jit', 'off', false), set_config('max_parallel_workers_per_gather', '0', false)";

/* Poolers and relatives of PostgreSQL may not have it: then there is no such protection. */
static const char timeline_sql[] =
    "SELECT system_identifier::text,"
    " ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint"
    " FROM pg_control_system()";

/* No timeout of PostgreSQL's ends a commit's wait for a standby, nor does the client's going: while
 * the standby is away, each reconnection would leave a backend behind, until none is free. */
static const char abandoned_sql[] =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    " AND application_name = current_setting('application_name')"
    " AND application_name LIKE 'mcpbus-%' AND usename = current_user"
    " AND datname = current_database() AND query_start < now() - interval '40 seconds'";

static const char replaced_text[] =
    "this server is of an older timeline than one that was used before: a primary that was "
    "replaced; if it is the right one again, restart mcpbus";

static void on_fd(void *arg, uint32_t events);
static void lost(struct pg_conn *conn, const char *why);

static void problem(struct pg_conn *conn, const char *why)
{
    char *text = conn->pg->problem;
    if (why != text)
        pg_explain(why, text, PG_PROBLEM_SIZE);
    log_debug("pg_problem", LOG_I("connection", conn->index), LOG_S("why", text));
}

static void unwatch(struct pg_conn *conn)
{
    if (conn->fd >= 0)
        loop_fd_remove(conn->pg->loop, conn->fd);
    conn->fd = -1;
}

static void watch(struct pg_conn *conn, uint32_t events)
{
    if (conn->fd >= 0) {
        if (conn->events != events)
            loop_fd_change(conn->pg->loop, conn->fd, events);
    } else {
        conn->fd = PQsocket(conn->conn);
        if (conn->fd >= 0)
            loop_fd_add(conn->pg->loop, conn->fd, events, on_fd, conn);
    }
    conn->events = events;
}

static void retry_later(struct pg_conn *conn)
{
    conn->state = PG_CONN_WAITING;
    int64_t jitter = (int64_t)(crypto_random_u64() % (uint64_t)(conn->backoff_ms / 2 + 1));
    loop_timer_start(conn->timer, conn->backoff_ms / 2 + jitter);
    conn->backoff_ms =
        conn->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : conn->backoff_ms * 2;
}

/* To whichever connection is ready first: this one may be long in coming back. What had been sent
 * may have happened: only what may be repeated is sent again. */
static void give_back(struct pg_conn *conn, struct pg_list *failed)
{
    pg_list_prepend(&conn->pg->waiting, &conn->waiting);
    struct pg_list again;
    pg_list_init(&again);
    for (struct pg_task *task; (task = pg_list_pop(&conn->in_flight));) {
        if (!task->statement)
            pg_task_free(task);
        else if (task->statement->idempotent && task->retries++ < PG_RETRIES_MAX)
            pg_list_push(&again, task);
        else
            pg_list_push(failed, task);
    }
    pg_task_requeue(conn->pg, &again);
}

static void lost(struct pg_conn *conn, const char *why)
{
    problem(conn, why);
    unwatch(conn);
    PQfinish(conn->conn);
    conn->conn = NULL;
    conn->prepared_count = 0;
    conn->timeline = 0;
    conn->host++;
    retry_later(conn);
    struct pg_list failed;
    pg_list_init(&failed);
    give_back(conn, &failed);
    struct pg *pg = conn->pg;
    for (unsigned i = 0; i < pg->conn_count; i++)
        pg_conn_pump(&pg->conns[i]);
    for (struct pg_task *task; (task = pg_list_pop(&failed));)
        pg_task_end(task, ERR_PEER_LOST, NULL);
}

/* Hosts are tried one an attempt, since PQconnectPoll alone would wait at a silent one for ever. */
static const char *option_value(const struct pg_conn *conn, const PQconninfoOption *option)
{
    const struct pg *pg = conn->pg;
    unsigned n = pg->host_count > pg->hostaddr_count ? pg->host_count : pg->hostaddr_count;
    unsigned i = n ? conn->host % n : 0;
    if (!strcmp(option->keyword, "host") && pg->host_count)
        return pg->hosts[i % pg->host_count];
    if (!strcmp(option->keyword, "hostaddr") && pg->hostaddr_count)
        return pg->hostaddrs[i % pg->hostaddr_count];
    if (!strcmp(option->keyword, "port") && pg->port_count)
        return pg->ports[i % pg->port_count];
    return option->val && *option->val ? option->val : NULL;
}

static void start(struct pg_conn *conn)
{
    static const struct {
        const char *keyword, *value;
    } defaults[] = {{"keepalives", "1"},
                    {"keepalives_idle", "5"},
                    {"keepalives_interval", "2"},
                    {"keepalives_count", "3"},
                    {"tcp_user_timeout", "10000"},
                    {"connect_timeout", "5"},
                    {"target_session_attrs", "read-write"},
                    {"gssencmode", "disable"},
                    {"client_encoding", "UTF8"}};
    enum { DEFAULTS = sizeof defaults / sizeof *defaults, MAX = 96 };
    const char *keywords[MAX + 1] = {NULL}, *values[MAX + 1] = {NULL};
    unsigned n = 0;
    for (; n < DEFAULTS; n++) {
        keywords[n] = defaults[n].keyword;
        values[n] = defaults[n].value;
    }
    keywords[n] = "fallback_application_name";
    values[n++] = conn->pg->application;
    /* Of a keyword that is given twice libpq takes the last. */
    for (PQconninfoOption *o = conn->pg->conninfo; o->keyword && n < MAX; o++) {
        const char *value = option_value(conn, o);
        if (!value)
            continue;
        keywords[n] = o->keyword;
        values[n++] = value;
    }
    conn->conn = PQconnectStartParams(keywords, values, 0);
    if (!conn->conn || PQstatus(conn->conn) == CONNECTION_BAD) {
        lost(conn, conn->conn ? PQerrorMessage(conn->conn) : "out of memory");
        return;
    }
    conn->state = PG_CONN_CONNECTING;
    loop_timer_start(conn->timer, ATTEMPT_MAX_MS);
    watch(conn, EPOLLOUT);
}

static void on_timer(void *arg)
{
    struct pg_conn *conn = arg;
    if (conn->state == PG_CONN_WAITING)
        start(conn);
    else if (conn->state != PG_CONN_READY)
        lost(conn, "the server did not answer in time");
}

/* Warnings on a commit that no standby confirmed: SyncRepWaitForLSN, 57P01 or 01000. */
static void on_notice(void *arg, const PGresult *notice)
{
    struct pg_conn *conn = arg;
    const char *state = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    if (conn->in_flight.head && state && (!strcmp(state, "57P01") || !strcmp(state, "01000")))
        conn->in_flight.head->doubtful = true;
}

static bool flush(struct pg_conn *conn)
{
    int left = PQflush(conn->conn);
    if (left < 0) {
        lost(conn, PQerrorMessage(conn->conn));
        return false;
    }
    watch(conn, left ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
}

static bool send_check(struct pg_conn *conn, enum pg_check check, const char *sql)
{
    struct pg_task *task = mem_alloc(sizeof *task);
    task->sent_at = loop_now(conn->pg->loop);
    task->sent_us = metric_now_us();
    task->check = check;
    pg_list_push(&conn->in_flight, task);
    return PQsendQueryParams(conn->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
           PQpipelineSync(conn->conn) == 1;
}

static void check(struct pg_conn *conn)
{
    conn->state = PG_CONN_CHECKING;
    PQsetNoticeReceiver(conn->conn, on_notice, conn);
    bool ok = PQsetnonblocking(conn->conn, 1) == 0 && PQenterPipelineMode(conn->conn) == 1;
    ok = ok && send_check(conn, PG_CHECK_DURABILITY, check_sql) &&
         send_check(conn, PG_CHECK_TIMELINE, timeline_sql) &&
         send_check(conn, PG_CHECK_ABANDONED, abandoned_sql);
    if (ok && conn->pg->setup)
        ok = send_check(conn, PG_CHECK_SETUP, conn->pg->setup);
    if (!ok)
        lost(conn, PQerrorMessage(conn->conn));
    else
        flush(conn);
}

static void poll_connect(struct pg_conn *conn)
{
    /* libpq may close the socket and open another, with the same number even. */
    unwatch(conn);
    switch (PQconnectPoll(conn->conn)) {
    case PGRES_POLLING_READING:
        watch(conn, EPOLLIN);
        break;
    case PGRES_POLLING_WRITING:
        watch(conn, EPOLLOUT);
        break;
    case PGRES_POLLING_OK:
        check(conn);
        break;
    default:
        lost(conn, PQerrorMessage(conn->conn));
        break;
    }
}

static bool is_optional(enum pg_check check)
{
    return check == PG_CHECK_TIMELINE || check == PG_CHECK_ABANDONED;
}

/* The cluster that was used last, and its latest timeline. All that a service has of connections
 * knows it: some only read, or wait for nothing, and would stay at the old primary for ever. */
static _Thread_local struct {
    char system[PG_SYSTEM_SIZE];
    int64_t timeline;
} latest;

/* A primary that was replaced knows nothing of it, and takes what it is given: who has been at its
 * successor must not go back. */
static bool is_replaced(const struct pg_conn *conn)
{
    return conn->timeline && conn->timeline < latest.timeline &&
           !strcmp(conn->system, latest.system);
}

static bool meets_replaced(struct pg_conn *conn, const PGresult *result)
{
    snprintf(conn->system, sizeof conn->system, "%s", PQgetvalue(result, 0, 0));
    conn->timeline = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    if (is_replaced(conn))
        return true;
    memcpy(latest.system, conn->system, sizeof latest.system);
    latest.timeline = conn->timeline;
    return false;
}

/* Those that were at the old primary when this one met the new one. */
static void leave_replaced(struct pg *pg)
{
    for (unsigned i = 0; i < pg->conn_count; i++)
        if (pg->conns[i].state == PG_CONN_READY && is_replaced(&pg->conns[i]))
            lost(&pg->conns[i], replaced_text);
}

/* Why the answer to a check is the end of the connection; NULL: it is not. */
static const char *refusal(struct pg_conn *conn, const struct pg_task *task)
{
    const PGresult *result = task->result;
    bool ok = !task->error && result && PQntuples(result) == 1;
    if (!ok && is_optional(task->check))
        return NULL;
    if (!ok)
        return conn->pg->problem[0] ? conn->pg->problem : "the connection's setup failed";
    if (task->check == PG_CHECK_DURABILITY && pg_too_old(PQserverVersion(conn->conn)))
        return pg_too_old(PQserverVersion(conn->conn));
    if (task->check == PG_CHECK_DURABILITY && !conn->pg->allow_unsafe &&
        (strcmp(PQgetvalue(result, 0, 0), "on") != 0 || !strcmp(PQgetvalue(result, 0, 1), "off")))
        return "fsync or synchronous_commit is off: accepted jobs could be lost";
    if (task->check == PG_CHECK_TIMELINE && meets_replaced(conn, result))
        return replaced_text;
    return NULL;
}

static void note_server(struct pg_conn *conn)
{
    const char *host = PQhost(conn->conn), *port = PQport(conn->conn);
    host = host ? host : "";
    bool is_ipv6 = host[0] != '/' && strchr(host, ':');
    snprintf(conn->pg->server, sizeof conn->pg->server, "%s%s%s:%s", is_ipv6 ? "[" : "", host,
             is_ipv6 ? "]" : "", port ? port : "");
}

/* The answers to what begins a connection; the last of them makes it ready. */
static void checked(struct pg_conn *conn, struct pg_task *task)
{
    const char *why = refusal(conn, task);
    pg_task_free(task);
    if (why) {
        lost(conn, why);
    } else if (!conn->in_flight.head) {
        conn->state = PG_CONN_READY;
        conn->backoff_ms = BACKOFF_MIN_MS;
        conn->pg->problem[0] = '\0';
        note_server(conn);
        loop_timer_stop(conn->timer);
        leave_replaced(conn->pg);
        pg_conn_pump(conn);
    }
}

static void unprepare(struct pg_conn *conn, const struct pg_statement *statement)
{
    for (unsigned i = 0; i < conn->prepared_count; i++)
        if (conn->prepared[i] == statement)
            conn->prepared[i--] = conn->prepared[--conn->prepared_count];
}

static void send_again(struct pg_conn *conn, struct pg_task *task)
{
    struct pg_list again;
    pg_list_init(&again);
    pg_list_push(&again, task);
    pg_task_requeue(conn->pg, &again);
}

/* The pipeline's sync: what the head did is committed, or rolled back. */
static void settle(struct pg_conn *conn)
{
    struct pg_task *task = pg_list_pop(&conn->in_flight);
    if (!task->statement) {
        checked(conn, task);
        return;
    }
    const char *state = task->error ? PQresultErrorField(task->result, PG_DIAG_SQLSTATE) : NULL;
    enum err error = task->error;
    enum pg_verdict verdict = task->error ? pg_judge(state, &error) : PG_VERDICT_FAILED;
    bool again = verdict == PG_VERDICT_UNPREPARED || verdict == PG_VERDICT_PREPARED ||
                 (verdict == PG_VERDICT_AGAIN && task->statement->idempotent);
    if (verdict == PG_VERDICT_UNPREPARED)
        unprepare(conn, task->failed.statement);
    if (again && task->retries++ < PG_RETRIES_MAX) {
        send_again(conn, task);
        return;
    }
    if (error)
        log_debug("pg_statement_failed", LOG_S("statement", task->statement->name),
                  LOG_S("sqlstate", state),
                  LOG_S("why", PQresultErrorField(task->result, PG_DIAG_MESSAGE_PRIMARY)));
    else if (task->doubtful)
        error = ERR_PEER_LOST;
    pg_task_end(task, error, task->result);
}

/* Keeps the first error, else the last result. False when the connection is of no use any more. */
static bool take(struct pg_conn *conn, PGresult *result)
{
    struct pg_task *task = conn->in_flight.head;
    ExecStatusType status = PQresultStatus(result);
    bool failed = status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
    if (task->error || status == PGRES_PIPELINE_ABORTED) {
        PQclear(result);
        return true;
    }
    if (failed) {
        enum err error;
        enum pg_verdict verdict = pg_judge(PQresultErrorField(result, PG_DIAG_SQLSTATE), &error);
        if (verdict == PG_VERDICT_LOST || verdict == PG_VERDICT_MOVED) {
            /* A standby refused it: it certainly did not happen. */
            if (verdict == PG_VERDICT_MOVED && task->statement) {
                pg_list_pop(&conn->in_flight);
                send_again(conn, task);
            }
            AUTOFREE char *why = mem_strdup(PQresultErrorMessage(result));
            PQclear(result);
            lost(conn, why);
            return false;
        }
        if (task->step < task->step_count)
            task->failed = task->steps[task->step];
        if (task->failed.prepares && verdict != PG_VERDICT_PREPARED)
            unprepare(conn, task->failed.statement);
        task->error = error;
        if (!task->statement && !is_optional(task->check))
            problem(conn, PQresultErrorMessage(result));
    }
    task->step++;
    PQclear(task->result);
    task->result = result;
    return true;
}

static void read_results(struct pg_conn *conn)
{
    unsigned nothing =
        0; /* a NULL parts the results of two commands; several mean that none comes */
    while (conn->state >= PG_CONN_CHECKING && conn->in_flight.head && nothing < 3 &&
           !PQisBusy(conn->conn)) {
        PGresult *result = PQgetResult(conn->conn);
        if (!result) {
            nothing++;
            continue;
        }
        nothing = 0;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            settle(conn);
        } else if (!take(conn, result)) {
            return;
        }
    }
    if (conn->conn && PQstatus(conn->conn) == CONNECTION_BAD)
        lost(conn, PQerrorMessage(conn->conn));
}

static void on_fd(void *arg, uint32_t events)
{
    struct pg_conn *conn = arg;
    if (conn->state == PG_CONN_CONNECTING) {
        poll_connect(conn);
        return;
    }
    if (!conn->conn)
        return;
    bool alive = true;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        alive = PQconsumeInput(conn->conn) == 1;
    /* What had arrived before the end still counts. */
    read_results(conn);
    if (!conn->conn || conn->state < PG_CONN_CHECKING)
        return;
    if (!alive)
        lost(conn, PQerrorMessage(conn->conn));
    else if (flush(conn))
        pg_conn_pump(conn);
}

static bool prepare(struct pg_conn *conn, struct pg_task *task,
                    const struct pg_statement *statement)
{
    for (unsigned i = 0; i < conn->prepared_count; i++)
        if (conn->prepared[i] == statement)
            return true;
    if (conn->prepared_count == PG_PREPARED_MAX)
        return false;
    conn->prepared[conn->prepared_count++] = statement;
    task->steps[task->step_count++] = (struct pg_step){statement, true};
    return PQsendPrepare(conn->conn, statement->name, statement->sql, 0, NULL) == 1;
}

static bool send_statement(struct pg_conn *conn, struct pg_task *task,
                           const struct pg_statement *statement, const char *const *values,
                           int count)
{
    if (!prepare(conn, task, statement))
        return false;
    task->steps[task->step_count++] = (struct pg_step){statement, false};
    return PQsendQueryPrepared(conn->conn, statement->name, count, values, NULL, NULL, 0) == 1;
}

/* All up to the sync is one transaction. */
static bool send_task(struct pg_conn *conn, struct pg_task *task)
{
    const char *const *values = (const char *const *)task->values;
    task->sent = true;
    task->sent_at = loop_now(conn->pg->loop);
    task->sent_us = metric_now_us();
    task->failed = (struct pg_step){NULL, false};
    task->step = task->step_count = 0;
    pg_list_push(&conn->in_flight, task);
    return (!task->scope || send_statement(conn, task, task->scope, values + task->count, 1)) &&
           send_statement(conn, task, task->statement, values, task->count) &&
           PQpipelineSync(conn->conn) == 1;
}

void pg_conn_pump(struct pg_conn *conn)
{
    struct pg *pg = conn->pg;
    bool sent = false;
    while (conn->state == PG_CONN_READY && conn->in_flight.count < PG_IN_FLIGHT_MAX) {
        struct pg_task *task = pg_list_pop(conn->waiting.head ? &conn->waiting : &pg->waiting);
        if (!task)
            break;
        pg->waiting_count--;
        if (!send_task(conn, task)) {
            lost(conn, PQerrorMessage(conn->conn));
            return;
        }
        sent = true;
    }
    if (sent)
        flush(conn);
}

void pg_conn_check(struct pg_conn *conn)
{
    const struct pg_task *task = conn->in_flight.head;
    if (conn->state == PG_CONN_READY && task &&
        loop_now(conn->pg->loop) - task->sent_at > OVERDUE_MS)
        lost(conn, "the server stopped answering");
    else if (conn->state == PG_CONN_READY && is_replaced(conn))
        lost(conn, replaced_text);
}

void pg_conn_init(struct pg_conn *conn, struct pg *pg, unsigned index, int64_t begin_after_ms)
{
    *conn = (struct pg_conn){.pg = pg, .index = index, .fd = -1, .backoff_ms = BACKOFF_MIN_MS};
    pg_list_init(&conn->waiting);
    pg_list_init(&conn->in_flight);
    conn->timer = loop_timer_new(pg->loop, on_timer, conn);
    loop_timer_start(conn->timer, begin_after_ms);
}

void pg_conn_fini(struct pg_conn *conn)
{
    unwatch(conn);
    PQfinish(conn->conn);
    conn->conn = NULL;
    conn->state = PG_CONN_WAITING;
    loop_timer_destroy(&conn->timer);
    for (struct pg_task *task; (task = pg_list_pop(&conn->in_flight));) {
        if (task->statement)
            pg_list_push(&conn->pg->failed, task);
        else
            pg_task_free(task);
    }
    for (struct pg_task *task; (task = pg_list_pop(&conn->waiting));)
        pg_list_push(&conn->pg->failed, task);
}
