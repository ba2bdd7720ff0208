/* What to do about a connection that PostgreSQL or the network refuses. */
#include <stdio.h>
#include <string.h>

#include "libcommon/pg.h"

enum { VERSION_MIN = 130000 };

struct advice {
    const char *words, *more; /* both are in the text; `more` NULL: the first is enough */
    const char *what;
};

/* The first that fits. The words are libpq's and the server's, which may speak another language:
 * then the text stands alone. */
static const struct advice table[] = {
    {"Connection refused", NULL,
     "is PostgreSQL running there? DATABASE_URL says where it is looked for"},
    {"could not translate host name", NULL, "correct the host in DATABASE_URL"},
    {"Name or service not known", NULL, "correct the host in DATABASE_URL"},
    {"timeout expired", NULL, "correct the host in DATABASE_URL, or let a firewall pass this"},
    {"No route to host", NULL, "correct the host in DATABASE_URL, or let a firewall pass this"},
    {"Network is unreachable", NULL, "correct the host in DATABASE_URL"},
    {"password authentication failed", NULL, "correct the user or the password in DATABASE_URL"},
    {"no password supplied", NULL, "put the password into DATABASE_URL"},
    {"database \"", "does not exist", "create it (createdb), or correct DATABASE_URL"},
    {"role \"", "does not exist", "create it (createuser), or correct the user in DATABASE_URL"},
    {"pg_hba.conf", NULL, "allow this host, user and database in the server's pg_hba.conf"},
    {"does not support SSL", NULL, "the server has no TLS: take sslmode out of DATABASE_URL"},
    {"certificate verify failed", NULL,
     "the server's certificate is of no authority known here: sslrootcert in DATABASE_URL"},
    {"too many connections", NULL, "raise the server's max_connections, or run fewer replicas"},
    {"too many clients", NULL, "raise the server's max_connections, or run fewer replicas"},
    {"remaining connection slots", NULL,
     "raise the server's max_connections, or run fewer replicas"},
    {"is not permitted to log in", NULL, "ALTER ROLE … LOGIN, or correct the user in DATABASE_URL"},
    {"permission denied for schema", NULL,
     "GRANT CREATE, USAGE ON SCHEMA public to the user of DATABASE_URL"},
    {"permission denied", NULL, "the tables' owner must be the user of DATABASE_URL"},
    {"No space left on device", NULL, "make room on the database server's disk"},
    {"read-only", NULL, "this is a standby: name the primary in DATABASE_URL, or all hosts"},
};

static const char *find(const char *why)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strstr(why, table[i].words) && (!table[i].more || strstr(why, table[i].more)))
            return table[i].what;
    return NULL;
}

const char *pg_too_old(int version)
{
    return version > 0 && version < VERSION_MIN
               ? "PostgreSQL there is too old: mcpbus needs version 13 or newer, and is tested "
                 "with 15"
               : NULL;
}

void pg_explain(const char *why, char *ret_text, size_t size)
{
    int line = (int)strcspn(why, "\n");
    const char *what = find(why);
    snprintf(ret_text, size, "%.*s%s%s", line, why, what ? "; " : "", what ? what : "");
}
