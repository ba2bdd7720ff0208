/* mcpbus migrate, each time in a new schema of the database of $TEST_DATABASE_URL (skipped
 * without). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/migrate.h"

static const char schema[] = "test_migrate";

struct env {
    char *url;
    struct pg_blocking *pg;
    FILE *out;
};

static void sql(struct env *env, const char *text)
{
    char why[512] = "";
    if (pg_blocking_run(env->pg, text, why))
        fail_msg("%s: %s", text, why);
}

static void expect_sql(struct env *env, const char *query, const char *want)
{
    AUTOFREE char *value = NULL;
    char why[512] = "";
    if (pg_blocking_value(env->pg, query, NULL, 0, &value, why))
        fail_msg("%s: %s", query, why);
    assert_string_equal(value ? value : "NULL", want);
}

static int setup(void **state)
{
    const char *base = getenv("TEST_DATABASE_URL");
    if (!base)
        return 0;
    struct env *env = mem_alloc(sizeof *env);
    char why[512];
    env->url =
        mem_printf("%s%coptions=-csearch_path%%3D%s", base, strchr(base, '?') ? '&' : '?', schema);
    env->out = fopen("/dev/null", "w");
    assert_int_equal(pg_blocking_open(env->url, &env->pg, why), ERR_OK);
    sql(env, "DROP SCHEMA IF EXISTS test_migrate CASCADE; CREATE SCHEMA test_migrate");
    *state = env;
    return 0;
}

static int teardown(void **state)
{
    struct env *env = *state;
    if (!env)
        return 0;
    sql(env, "DROP SCHEMA test_migrate CASCADE");
    pg_blocking_close(&env->pg);
    fclose(env->out);
    free(env->url);
    free(env);
    return 0;
}

static struct env *env_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void run(struct env *env)
{
    char why[MIGRATE_WHY_SIZE] = "";
    if (migrate(env->url, 1000, env->out, why))
        fail_msg("%s", why);
}

static void an_empty_database_gets_its_tables(void **state)
{
    struct env *env = env_of(state);
    run(env);
    run(env);
    char count[16];
    snprintf(count, sizeof count, "%zu", migration_count);
    expect_sql(env, "SELECT count(*)::text FROM mcpbus_migrations", count);
    expect_sql(env, "SELECT count(*)::text FROM job_records", "0");
}

static void replicas_may_migrate_at_once(void **state)
{
    struct env *env = env_of(state);
    enum { REPLICAS = 6 };
    pid_t pids[REPLICAS];
    for (int i = 0; i < REPLICAS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char why[MIGRATE_WHY_SIZE] = "";
            enum err error = migrate(env->url, 1000, env->out, why);
            if (error)
                fprintf(stderr, "%s\n", why);
            _exit(error ? 1 : 0);
        }
    }
    for (int i = 0; i < REPLICAS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    expect_sql(env, "SELECT count(*)::text FROM job_queue", "0");
}

static void who_waits_changes_nothing(void **state)
{
    struct env *env = env_of(state);
    char why[MIGRATE_WHY_SIZE] = "";
    assert_int_equal(migrate_wait(env->url, 300, env->out, why), ERR_TIMEOUT);
    assert_non_null(strstr(why, "missing: mcpbus migrate"));
    expect_sql(env, "SELECT to_regclass('mcpbus_migrations')::text", "NULL");
    pid_t waiting = fork();
    if (waiting == 0)
        _exit(migrate_wait(env->url, 60000, env->out, why) ? 1 : 0);
    run(env);
    int status = -1;
    assert_int_equal(waitpid(waiting, &status, 0), waiting);
    assert_int_equal(status, 0);
    sql(env, "DELETE FROM mcpbus_migrations WHERE version = 3");
    assert_int_equal(migrate_wait(env->url, 0, env->out, why), ERR_TIMEOUT);
    assert_string_equal(why, "1 migrations are missing: mcpbus migrate");
}

static void the_originals_rows_are_taken_over(void **state)
{
    struct env *env = env_of(state);
    sql(env, "CREATE TYPE job_status AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED');"
             "CREATE TABLE job_records (id varchar PRIMARY KEY, user_id varchar NOT NULL,"
             " message text NOT NULL, status job_status DEFAULT 'PENDING', result text,"
             " error_message text, token_usage json, env_vars json,"
             " created_at timestamp DEFAULT now(), updated_at timestamptz, completed_at timestamp,"
             " CHECK (status <> 'FAILED' OR message <> ''));"
             "INSERT INTO job_records (id, user_id, message, status, result, token_usage, "
             "env_vars) VALUES"
             " ('1', 'u', 'm', 'PENDING', NULL, NULL, '{\"GOOGLE_ACCESS_TOKEN\": \"hush\", \"B\": "
             "\"hush\"}'),"
             " ('2', 'u', 'm', 'RUNNING', NULL, NULL, to_json('{\"C\": \"hush\"}'::text)),"
             " ('3', 'u', 'm', 'COMPLETED', 'r', '{\"total_tokens\": 7}', to_json('hush'::text)),"
             " ('4', 'u', 'm', 'FAILED', NULL, NULL, '[\"hush\"]'), ('5', 'u', 'm', NULL, NULL, "
             "NULL, NULL)");
    run(env);
    expect_sql(env, "SELECT string_agg(id || status, ' ' ORDER BY id) FROM job_records",
               "1pending 2failed 3completed 4failed 5pending");
    expect_sql(env, "SELECT string_agg(job_id, ' ' ORDER BY job_id) FROM job_queue", "1 5");
    expect_sql(env, "SELECT string_agg(env_vars::text, ' ' ORDER BY id) FROM job_records",
               "[\"GOOGLE_ACCESS_TOKEN\", \"B\"] [\"C\"] [] []");
    expect_sql(env, "SELECT count(*)::text FROM job_data d WHERE d::text LIKE '%hush%'", "0");
    expect_sql(env,
               "SELECT result || (token_usage ->> 'total_tokens') FROM job_records WHERE id = '3'",
               "r7");
    expect_sql(env,
               "SELECT count(*)::text FROM job_records WHERE created_at BETWEEN"
               " now() - interval '1 minute' AND now()",
               "5");
    /* Statuses that the original did not know. */
    sql(env, "UPDATE job_data SET status = 'cancelled' WHERE id = '4'");
    run(env);
}

static void json_tables_of_text_ids_too(void **state)
{
    struct env *env = env_of(state);
    sql(env, "CREATE TABLE job_records (id text PRIMARY KEY, user_id text, message text,"
             " status text, result text, error_message text, token_usage json, env_vars json,"
             " created_at timestamptz, updated_at timestamptz, completed_at timestamptz);"
             "INSERT INTO job_records (id, status, env_vars) VALUES ('a', 'cancelled', 'null'),"
             " ('b', 'running', '{}'), ('c', 'success', NULL);"
             "CREATE VIEW owners AS SELECT id, env_vars FROM job_records");
    run(env);
    expect_sql(env, "SELECT string_agg(id || status, ' ' ORDER BY id) FROM job_records",
               "acancelled bfailed ccompleted");
    expect_sql(env, "SELECT count(*)::text FROM owners", "3");
}

static void a_missing_server_is_said(void **state)
{
    (void)state;
    char why[MIGRATE_WHY_SIZE] = "";
    assert_int_equal(migrate("postgresql://u:hush@127.0.0.1:1/x", 300, stdout, why), ERR_PEER_LOST);
    assert_non_null(strstr(why, "DATABASE_URL"));
    assert_null(strstr(why, "hush"));
    assert_int_equal(migrate("mysql://x", 300, stdout, why), ERR_INVALID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_database_gets_its_tables), TEST(replicas_may_migrate_at_once),
        TEST(who_waits_changes_nothing),         TEST(the_originals_rows_are_taken_over),
        TEST(json_tables_of_text_ids_too),       cmocka_unit_test(a_missing_server_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
