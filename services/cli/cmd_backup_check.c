/* mcpbus backup-check: is the restored copy in DATABASE_URL complete and usable? Reads only. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/backup_checks.h"
#include "services/cli/migrate.h"
#include "services/cli/output.h"
#include "services/cli/own_settings.h"
#include "services/token_keys.h"

enum { WHY_SIZE = 512 };

static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                "SET LOCAL statement_timeout = 0";

static const struct needed_setting needed[] = {
    {"DATABASE_URL", "the restored copy", offsetof(struct settings, database_url)},
    {"JWT_SECRET", "that of the backup, which tokens are read with",
     offsetof(struct settings, jwt_secret)},
    {NULL, NULL, 0},
};

struct copy {
    struct pg_blocking *pg;
    json_t *checks; /* with --json; NULL: printed as they come */
    unsigned faults;
};

static void say(struct copy *copy, const char *name, const char *level, const char *text)
{
    if (copy->checks)
        json_array_append_new(
            copy->checks, json_pack("{s:s, s:s, s:s}", "name", name, "level", level, "text", text));
    else
        output_say(stdout, "%-11s %-6s %s\n", name, level, text);
    copy->faults += !strcmp(level, "fault");
}

/* One value; NULL when the statement failed, which is said as a fault. A failure must not end the
 * transaction for the checks behind it. */
static char *ask(struct copy *copy, const char *name, const char *sql, const char *const *values,
                 int count)
{
    char why[WHY_SIZE] = "", ignored[WHY_SIZE];
    char *text = NULL;
    enum err err = pg_blocking_run(copy->pg, "SAVEPOINT one", why);
    if (!err)
        err = pg_blocking_value(copy->pg, sql, values, count, &text, why);
    if (!err && text)
        return text;
    AUTOFREE char *said = mem_printf("can't be checked: %s", why[0] ? why : "no answer");
    say(copy, name, "fault", said);
    enum err lost = pg_blocking_run(copy->pg, "ROLLBACK TO SAVEPOINT one", ignored);
    if (lost)
        say(copy, name, "fault", "the connection has gone");
    return NULL;
}

static void run_checks(struct copy *copy, const struct backup_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *answer = ask(copy, checks[i].name, checks[i].sql, NULL, 0);
        char *tab = answer ? strchr(answer, '\t') : NULL;
        if (!tab)
            continue;
        *tab = '\0';
        say(copy, checks[i].name, answer, tab + 1);
    }
}

static size_t count_known(const json_t *versions)
{
    size_t known = 0, i;
    const json_t *version;
    json_array_foreach(versions, i, version)
    {
        for (size_t k = 0; k < migration_count; k++)
            known += migrations[k].version == json_integer_value(version);
    }
    return known;
}

/* Migrations that are missing make no fault: mcpbus migrate brings an older copy up to date. */
static void check_schema(struct copy *copy)
{
    AUTOFREE char *text = ask(
        copy, "schema", "SELECT coalesce(json_agg(version), '[]') FROM mcpbus_migrations", NULL, 0);
    AUTOJSON json_t *versions = NULL;
    if (!text || js_parse(text, strlen(text), &versions, NULL))
        return;
    size_t known = count_known(versions);
    size_t newer = json_array_size(versions) - known, missing = migration_count - known;
    AUTOFREE char *said =
        newer     ? mem_printf("%zu migrations of a newer release than this mcpbus", newer)
        : missing ? mem_printf("%zu migrations are missing: run mcpbus migrate", missing)
                  : mem_printf("up to date, %zu migrations", known);
    say(copy, "schema", newer ? "fault" : missing ? "note" : "ok", said);
}

static bool opens(const struct token_keys *keys, const json_t *sample)
{
    const char *value = json_string_value(json_array_get(sample, 3));
    const char *user = json_string_value(json_array_get(sample, 1));
    const char *field = json_string_value(json_array_get(sample, 2));
    if (!value || !user || !field)
        return false;
    AUTOFREE char *context = mem_printf("google-token:%s:%s", field, user);
    for (size_t i = 0; i < keys->count; i++) {
        char *plain = NULL;
        size_t len;
        if (crypto_open(keys->keys[i], context, value, &plain, &len) == ERR_OK) {
            mem_free_secret(&plain);
            return true;
        }
    }
    return false;
}

/* A sample of each key that is in use is really opened. */
static void check_tokens(struct copy *copy, const struct settings *settings)
{
    AUTOFREE char *text = ask(copy, "tokens", backup_tokens_sql, NULL, 0);
    AUTOJSON json_t *groups = NULL;
    if (!text || js_parse(text, strlen(text), &groups, NULL))
        return;
    struct token_keys keys;
    token_keys_init(&keys, &(struct token_secrets){
                               .encryption_key = settings->token_encryption_key,
                               .encryption_key_previous = settings->token_encryption_key_previous,
                               .jwt_secret = settings->jwt_secret,
                               .jwt_secret_previous = settings->jwt_secret_previous});
    json_int_t readable = 0, lost = 0;
    const char *id;
    json_t *group;
    json_object_foreach(groups, id, group)
    {
        json_int_t n = json_integer_value(json_array_get(group, 0));
        *(!*id || opens(&keys, group) ? &readable : &lost) += n;
    }
    token_keys_fini(&keys);
    AUTOFREE char *said =
        lost ? mem_printf("%lld of %lld sessions can't be read: TOKEN_ENCRYPTION_KEY or JWT_SECRET "
                          "is not the one of this copy; their users would have to sign in anew",
                          (long long)lost, (long long)(lost + readable))
             : mem_printf("of %lld sessions, readable with the keys that are set",
                          (long long)readable);
    say(copy, "tokens", lost ? "fault" : "ok", said);
}

/* Jobs of the last ten seconds may have been committed after the copy was made; some may have been
 * deleted there since. */
static void compare(struct copy *copy, struct copy *other)
{
    AUTOFREE char *newest = ask(copy, "original", backup_newest_sql, NULL, 0);
    AUTOFREE char *seq =
        ask(copy, "original", "SELECT max(seq)::text FROM token_revocation_counter", NULL, 0);
    if (!newest || !seq)
        return;
    const char *values[] = {newest, seq};
    AUTOFREE char *here = ask(copy, "original", backup_count_sql, values, 1);
    AUTOFREE char *there = ask(other, "original", backup_count_sql, values, 1);
    AUTOFREE char *since = ask(other, "original", backup_since_sql, values, 2);
    copy->faults += other->faults;
    if (!here || !there || !since)
        return;
    long long lacking = strtoll(there, NULL, 10) - strtoll(here, NULL, 10);
    AUTOFREE char *said =
        lacking > 0
            ? mem_printf("%lld jobs from before this copy's newest are missing here", lacking)
            : mem_printf("no job from before this copy's newest is missing; %s", since);
    say(copy, "original", lacking > 0 ? "fault" : "ok", said);
}

static enum err open_copy(const char *url, const char *what, struct copy *ret_copy)
{
    char why[WHY_SIZE] = "";
    enum err err = pg_blocking_open(url, &ret_copy->pg, why);
    if (!err)
        err = pg_blocking_run(ret_copy->pg, begin_sql, why);
    if (err && ret_copy->checks)
        output_error(err_name(err), why, err == ERR_PEER_LOST, 0);
    if (err)
        output_say(stderr, "mcpbus backup-check: %s: %s\n", what, why);
    return err;
}

static void print_end(const struct copy *copy)
{
    if (!copy->checks) {
        printf(copy->faults ? "not usable as it is: %u faults\n" : "complete and usable\n",
               copy->faults);
        return;
    }
    AUTOJSON json_t *all = json_pack("{s:b, s:I, s:O}", "usable", !copy->faults, "faults",
                                     (json_int_t)copy->faults, "checks", copy->checks);
    output_json(all);
}

static int check(const struct settings *settings, const char *original, json_t *checks)
{
    struct copy copy = {.checks = checks}, other = {.checks = checks};
    bool failed = open_copy(settings->database_url, "DATABASE_URL", &copy) != ERR_OK ||
                  (original && open_copy(original, "--original", &other) != ERR_OK);
    if (!failed)
        run_checks(&copy, backup_structure_checks, backup_structure_check_count);
    if (!failed && !copy.faults) {
        check_schema(&copy);
        run_checks(&copy, backup_checks, backup_check_count);
        check_tokens(&copy, settings);
        if (other.pg)
            compare(&copy, &other);
    }
    pg_blocking_close(&copy.pg);
    pg_blocking_close(&other.pg);
    if (failed)
        return CLI_FAILED;
    print_end(&copy);
    return copy.faults ? CLI_FAILED : CLI_OK;
}

int cmd_backup_check(int argc, char **argv)
{
    struct args args;
    static struct settings settings;
    if (args_parse("backup-check", argc, argv, 0, 0, &args) ||
        own_settings_load(&args, needed, &settings))
        return CLI_USAGE;
    AUTOJSON json_t *checks = args_flag(&args, "--json") ? json_array() : NULL;
    return check(&settings, args_text(&args, "--original", NULL), checks);
}
