#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"

enum { WHY_SIZE = 512 };

struct pg_blocking {
    PGconn *conn;
};

static enum err fail(enum err error, const char *why, char *ret_why)
{
    pg_explain(why, ret_why, WHY_SIZE);
    return error;
}

static void ignore_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

enum err pg_blocking_open(const char *url, struct pg_blocking **ret_pg, char *ret_why)
{
    AUTOFREE char *normal = NULL;
    if (pg_url_normalize(url, &normal))
        return fail(ERR_INVALID, "not a postgresql:// URL", ret_why);
    const char *keywords[] = {"keepalives",
                              "connect_timeout",
                              "target_session_attrs",
                              "client_encoding",
                              "fallback_application_name",
                              "gssencmode",
                              "dbname",
                              NULL};
    const char *values[] = {"1", "5", "read-write", "UTF8", "mcpbus", "disable", normal, NULL};
    PGconn *conn = PQconnectdbParams(keywords, values, 1);
    const char *old = PQstatus(conn) == CONNECTION_OK ? pg_too_old(PQserverVersion(conn)) : NULL;
    if (PQstatus(conn) != CONNECTION_OK || old) {
        enum err error =
            fail(old ? ERR_INVALID : ERR_PEER_LOST, old ? old : PQerrorMessage(conn), ret_why);
        PQfinish(conn);
        return error;
    }
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    *ret_pg = mem_alloc(sizeof **ret_pg);
    (*ret_pg)->conn = conn;
    return ERR_OK;
}

void pg_blocking_close(struct pg_blocking **pg_p)
{
    struct pg_blocking *pg = *pg_p;
    if (!pg)
        return;
    *pg_p = NULL;
    PQfinish(pg->conn);
    free(pg);
}

/* Details may hold a row's values, secrets among them; what depends on what is none. */
static const char *message(struct pg_blocking *pg, const PGresult *result, char *text)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *main = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    bool harmless = state && (!strcmp(state, "0A000") || !strcmp(state, "2BP01"));
    if (!main)
        return PQerrorMessage(pg->conn);
    snprintf(text, WHY_SIZE, "%s%s%s%s", main, harmless && detail ? " (" : "",
             harmless && detail ? detail : "", harmless && detail ? ")" : "");
    return text;
}

static enum err check(struct pg_blocking *pg, const PGresult *result, char *ret_why)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
        return ERR_OK;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    /* A unique violation, in our tables or the catalog's; a table or type that is there already. */
    bool exists =
        state && (!strcmp(state, "23505") || !strcmp(state, "42P07") || !strcmp(state, "42710"));
    char text[WHY_SIZE];
    /* lock_not_available, deadlock_detected */
    bool waited = state && (!strcmp(state, "55P03") || !strcmp(state, "40P01"));
    return fail(exists   ? ERR_CONFLICT
                : waited ? ERR_TIMEOUT
                         : ERR_INTERNAL,
                message(pg, result, text), ret_why);
}

enum err pg_blocking_run(struct pg_blocking *pg, const char *sql, char *ret_why)
{
    PGresult *result = PQexec(pg->conn, sql);
    enum err error = check(pg, result, ret_why);
    PQclear(result);
    return error;
}

enum err pg_blocking_value(struct pg_blocking *pg, const char *sql, const char *const *values,
                           int count, char **ret_value, char *ret_why)
{
    PGresult *result = PQexecParams(pg->conn, sql, count, NULL, values, NULL, NULL, 0);
    enum err error = check(pg, result, ret_why);
    if (!error) {
        bool none = PQntuples(result) == 0 || PQnfields(result) == 0 || PQgetisnull(result, 0, 0);
        *ret_value = none ? NULL : mem_strdup(PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return error;
}
