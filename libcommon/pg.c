#include "libcommon/pg.h"

#include <assert.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/metrics.h"
#include "libcommon/pg_internal.h"

enum { DEADLINE_PERIOD_MS = 50, OVERDUE_PERIOD_MS = 1000, STAGGER_MS = 20 };

void pg_list_init(struct pg_list *list)
{
    *list = (struct pg_list){.tail = &list->head};
}

void pg_list_push(struct pg_list *list, struct pg_task *task)
{
    task->next = NULL;
    *list->tail = task;
    list->tail = &task->next;
    list->count++;
}

struct pg_task *pg_list_pop(struct pg_list *list)
{
    struct pg_task *task = list->head;
    if (!task)
        return NULL;
    list->head = task->next;
    if (!list->head)
        list->tail = &list->head;
    list->count--;
    task->next = NULL;
    return task;
}

void pg_list_prepend(struct pg_list *list, struct pg_list *front)
{
    if (!front->head)
        return;
    *front->tail = list->head;
    if (!list->head)
        list->tail = front->tail;
    list->head = front->head;
    list->count += front->count;
    pg_list_init(front);
}

void pg_task_free(struct pg_task *task)
{
    PQclear(task->result);
    free(task->values);
    free(task);
}

static void note_end(const struct pg_task *task, enum err error)
{
    static struct metric_set durations, failures;
    const struct pg_statement *statement = task->statement;
    if (!statement || !task->sent_us)
        return;
    metric_observe_since(
        metric_histogram_by(&durations, statement, "mcpbus_pg_statement_duration_seconds",
                            "statement", statement->name,
                            "Statements by name, from their sending to the commit."),
        task->sent_us);
    if (error)
        metric_add(metric_counter_by(&failures, statement, "mcpbus_pg_statement_failures_total",
                                     "statement", statement->name,
                                     "Statements that ended with an error, by name."),
                   1);
}

void pg_task_end(struct pg_task *task, enum err error, const PGresult *result)
{
    note_end(task, error);
    if (task->done)
        task->done(task->arg, error, error == ERR_OK ? (const struct pg_rows *)result : NULL);
    pg_task_free(task);
}

static bool prefers_ready(const struct pg *pg, int connection)
{
    return connection >= 0 && pg->conns[connection].state == PG_CONN_READY;
}

void pg_task_requeue(struct pg *pg, struct pg_list *tasks)
{
    struct pg_list any, pinned[PG_CONNECTIONS_MAX];
    pg_list_init(&any);
    for (unsigned i = 0; i < pg->conn_count; i++)
        pg_list_init(&pinned[i]);
    for (struct pg_task *task; (task = pg_list_pop(tasks));) {
        PQclear(task->result);
        task->result = NULL;
        task->error = ERR_OK;
        task->doubtful = false;
        pg_list_push(prefers_ready(pg, task->connection) ? &pinned[task->connection] : &any, task);
        pg->waiting_count++;
    }
    pg_list_prepend(&pg->waiting, &any);
    for (unsigned i = 0; i < pg->conn_count; i++)
        pg_list_prepend(&pg->conns[i].waiting, &pinned[i]);
    loop_timer_start(pg->deadlines, DEADLINE_PERIOD_MS);
}

enum pg_verdict pg_judge(const char *sqlstate, enum err *ret_error)
{
    *ret_error = ERR_INTERNAL;
    if (!sqlstate)
        return PG_VERDICT_LOST;
    if (!strncmp(sqlstate, "08", 2) || !strcmp(sqlstate, "57P01") || !strcmp(sqlstate, "57P02") ||
        !strcmp(sqlstate, "57P03") || !strcmp(sqlstate, "57P05") || !strcmp(sqlstate, "25P03") ||
        !strcmp(sqlstate, "53300"))
        return PG_VERDICT_LOST;
    if (!strcmp(sqlstate, "25006"))
        return PG_VERDICT_MOVED;
    if (!strcmp(sqlstate, "40001") || !strcmp(sqlstate, "40P01"))
        return PG_VERDICT_AGAIN;
    if (!strcmp(sqlstate, "26000"))
        return PG_VERDICT_UNPREPARED;
    if (!strcmp(sqlstate, "42P05"))
        return PG_VERDICT_PREPARED;
    if (!strcmp(sqlstate, "23505"))
        *ret_error = ERR_CONFLICT;
    else if (!strncmp(sqlstate, "22", 2) || !strncmp(sqlstate, "23", 2))
        *ret_error = ERR_INVALID;
    else if (!strncmp(sqlstate, "53", 2))
        *ret_error = ERR_OVERLOADED;
    else if (!strcmp(sqlstate, "57014") || !strcmp(sqlstate, "55P03"))
        *ret_error = ERR_TIMEOUT;
    return PG_VERDICT_FAILED;
}

/* Splits at commas; NULL gives no element. */
static unsigned split(const char *text, char ***ret_parts)
{
    char **parts = mem_alloc(PG_HOSTS_MAX * sizeof *parts);
    unsigned count = 0;
    while (text && count < PG_HOSTS_MAX) {
        size_t len = strcspn(text, ",");
        parts[count++] = mem_strndup(text, len);
        text = text[len] ? text + len + 1 : NULL;
    }
    *ret_parts = parts;
    return count;
}

static void split_free(char **parts, unsigned count)
{
    for (unsigned i = 0; parts && i < count; i++)
        free(parts[i]);
    free(parts);
}

static enum err parse_url(struct pg *pg, const char *url)
{
    AUTOFREE char *normal = NULL;
    enum err error = pg_url_normalize(url, &normal);
    if (error)
        return error;
    char *why = NULL;
    pg->conninfo = PQconninfoParse(normal, &why);
    PQfreemem(why);
    if (!pg->conninfo)
        return ERR_INVALID;
    for (PQconninfoOption *o = pg->conninfo; o->keyword; o++) {
        const char *value = o->val && *o->val ? o->val : NULL;
        if (!strcmp(o->keyword, "host"))
            pg->host_count = split(value, &pg->hosts);
        else if (!strcmp(o->keyword, "hostaddr"))
            pg->hostaddr_count = split(value, &pg->hostaddrs);
        else if (!strcmp(o->keyword, "port"))
            pg->port_count = split(value, &pg->ports);
    }
    return ERR_OK;
}

static void expire_list(struct pg *pg, struct pg_list *list, struct pg_list *expired)
{
    struct pg_list kept;
    pg_list_init(&kept);
    for (struct pg_task *task; (task = pg_list_pop(list));)
        pg_list_push(task->deadline <= loop_now(pg->loop) ? expired : &kept, task);
    pg_list_prepend(list, &kept);
}

static void on_deadlines(void *arg)
{
    struct pg *pg = arg;
    struct pg_list expired;
    pg_list_init(&expired);
    expire_list(pg, &pg->waiting, &expired);
    for (unsigned i = 0; i < pg->conn_count; i++) {
        expire_list(pg, &pg->conns[i].waiting, &expired);
        pg_conn_check(&pg->conns[i]);
    }
    pg->waiting_count -= expired.count;
    for (struct pg_task *task; (task = pg_list_pop(&expired));)
        pg_task_end(task, task->sent ? ERR_PEER_LOST : ERR_TIMEOUT, NULL);
    loop_timer_start(pg->deadlines, pg->waiting_count ? DEADLINE_PERIOD_MS : OVERDUE_PERIOD_MS);
}

static void on_failures(void *arg)
{
    struct pg *pg = arg;
    struct pg_list failed;
    pg_list_init(&failed);
    pg_list_prepend(&failed, &pg->failed);
    for (struct pg_task *task; (task = pg_list_pop(&failed));)
        pg_task_end(task, task->error, NULL);
}

enum err pg_new(struct loop *loop, const struct pg_options *options, struct pg **ret_pg)
{
    assert(options->connections > 0 && options->connections <= PG_CONNECTIONS_MAX);
    struct pg *pg = mem_alloc(sizeof *pg);
    pg->loop = loop;
    pg->waiting_max = options->waiting_max;
    pg->allow_unsafe = options->allow_unsafe;
    pg->application = mem_strdup(options->application ? options->application : "mcpbus");
    pg->setup = mem_strdup_opt(options->setup);
    pg_list_init(&pg->waiting);
    pg_list_init(&pg->failed);
    enum err error = parse_url(pg, options->url);
    if (error) {
        pg_destroy(&pg);
        return error;
    }
    pg->deadlines = loop_timer_new(loop, on_deadlines, pg);
    pg->failures = loop_timer_new(loop, on_failures, pg);
    loop_timer_start(pg->deadlines, OVERDUE_PERIOD_MS);
    pg->conn_count = options->connections;
    pg->conns = mem_alloc(pg->conn_count * sizeof *pg->conns);
    for (unsigned i = 0; i < pg->conn_count; i++)
        pg_conn_init(&pg->conns[i], pg, i, options->begin_after_ms + (int64_t)i * STAGGER_MS);
    *ret_pg = pg;
    return ERR_OK;
}

void pg_destroy(struct pg **pg_p)
{
    struct pg *pg = *pg_p;
    if (!pg)
        return;
    *pg_p = NULL;
    for (unsigned i = 0; i < pg->conn_count; i++)
        pg_conn_fini(&pg->conns[i]);
    pg_list_prepend(&pg->failed, &pg->waiting);
    for (struct pg_task *task; (task = pg_list_pop(&pg->failed));)
        pg_task_end(task, ERR_CANCELLED, NULL);
    loop_timer_destroy(&pg->deadlines);
    loop_timer_destroy(&pg->failures);
    free(pg->conns);
    split_free(pg->hosts, pg->host_count);
    split_free(pg->hostaddrs, pg->hostaddr_count);
    split_free(pg->ports, pg->port_count);
    PQconninfoFree(pg->conninfo);
    free(pg->application);
    free(pg->setup);
    free(pg);
}

bool pg_connected(const struct pg *pg)
{
    for (unsigned i = 0; i < pg->conn_count; i++)
        if (pg->conns[i].state == PG_CONN_READY)
            return true;
    return false;
}

const char *pg_problem(const struct pg *pg)
{
    if (pg_connected(pg))
        return "";
    return pg->problem[0] ? pg->problem : "connecting";
}

const char *pg_server(const struct pg *pg)
{
    return pg_connected(pg) ? pg->server : "";
}

size_t pg_pending(const struct pg *pg)
{
    size_t pending = pg->waiting_count + pg->failed.count;
    for (unsigned i = 0; i < pg->conn_count; i++)
        pending += pg->conns[i].in_flight.count;
    return pending;
}

/* Copies the texts, and `last` as one more, behind the array of pointers, in one block. */
static char **values_copy(const char *const *values, int count, const char *last)
{
    size_t size = ((size_t)count + 1) * sizeof(char *);
    for (int i = 0; i <= count; i++) {
        const char *value = i < count ? values[i] : last;
        size += value ? strlen(value) + 1 : 0;
    }
    char **copy = mem_alloc(size);
    char *text = (char *)(copy + count + 1);
    for (int i = 0; i <= count; i++) {
        const char *value = i < count ? values[i] : last;
        if (!value)
            continue;
        size_t len = strlen(value) + 1;
        copy[i] = memcpy(text, value, len);
        text += len;
    }
    return copy;
}

static struct pg_conn *least_busy(struct pg *pg)
{
    struct pg_conn *best = NULL;
    for (unsigned i = 0; i < pg->conn_count; i++) {
        struct pg_conn *conn = &pg->conns[i];
        if (conn->state == PG_CONN_READY &&
            (!best || conn->in_flight.count < best->in_flight.count))
            best = conn;
    }
    return best;
}

static void fail_later(struct pg *pg, struct pg_task *task, enum err error)
{
    task->error = error;
    pg_list_push(&pg->failed, task);
    loop_timer_start(pg->failures, 0);
}

static void queue(struct pg *pg, struct pg_task *task)
{
    bool preferred = prefers_ready(pg, task->connection);
    struct pg_conn *conn = preferred ? &pg->conns[task->connection] : least_busy(pg);
    pg_list_push(preferred ? &conn->waiting : &pg->waiting, task);
    if (pg->waiting_count++ == 0)
        loop_timer_start(pg->deadlines, DEADLINE_PERIOD_MS);
    if (conn)
        pg_conn_pump(conn);
}

static void exec(struct pg *pg, const struct pg_task *what, const char *const *values,
                 const char *scope_value)
{
    struct pg_task *task = mem_alloc(sizeof *task);
    *task = *what;
    task->deadline = loop_now(pg->loop) + task->timeout_ms;
    if (pg->waiting_count >= pg->waiting_max) {
        fail_later(pg, task, ERR_OVERLOADED);
        return;
    }
    task->values = values_copy(values, task->count, scope_value);
    queue(pg, task);
}

void pg_exec(struct pg *pg, const struct pg_statement *statement, int connection,
             int64_t timeout_ms, const char *const *values, int count, pg_done_fn *done, void *arg)
{
    assert(connection < (int)pg->conn_count);
    exec(pg,
         &(struct pg_task){.statement = statement,
                           .count = count,
                           .connection = connection,
                           .timeout_ms = timeout_ms,
                           .done = done,
                           .arg = arg},
         values, NULL);
}

void pg_exec_scoped(struct pg *pg, const struct pg_statement *scope, const char *value,
                    const struct pg_statement *statement, int64_t timeout_ms,
                    const char *const *values, int count, pg_done_fn *done, void *arg)
{
    exec(pg,
         &(struct pg_task){.statement = statement,
                           .scope = scope,
                           .count = count,
                           .connection = -1,
                           .timeout_ms = timeout_ms,
                           .done = done,
                           .arg = arg},
         values, value);
}

size_t pg_rows_count(const struct pg_rows *rows)
{
    return rows ? (size_t)PQntuples((const PGresult *)rows) : 0;
}

const char *pg_rows_text(const struct pg_rows *rows, size_t row, int column)
{
    const PGresult *result = (const PGresult *)rows;
    if (row >= pg_rows_count(rows) || PQgetisnull(result, (int)row, column))
        return NULL;
    return PQgetvalue(result, (int)row, column);
}

size_t pg_rows_len(const struct pg_rows *rows, size_t row, int column)
{
    if (row >= pg_rows_count(rows))
        return 0;
    return (size_t)PQgetlength((const PGresult *)rows, (int)row, column);
}

int64_t pg_rows_int(const struct pg_rows *rows, size_t row, int column, int64_t def)
{
    const char *text = pg_rows_text(rows, row, column);
    return text ? strtoll(text, NULL, 10) : def;
}

bool pg_rows_bool(const struct pg_rows *rows, size_t row, int column)
{
    const char *text = pg_rows_text(rows, row, column);
    return text && text[0] == 't';
}
