#include "services/cli/backup_checks.h"

#define VERDICT(bad, level, text, fine) \
    "CASE WHEN " bad " THEN '" level "' || chr(9) || " text " ELSE 'ok' || chr(9) || " fine " END"
#define UTC(time) "to_char(" time " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')"

const struct backup_check backup_structure_checks[] = {
    {"tables",
     "SELECT " VERDICT(
         "n > 0", "fault", "'missing: ' || names",
         "'all there'") " FROM (SELECT count(*) AS n, string_agg(name, ', ') AS names FROM unnest(ARRAY["
                        "'mcpbus_migrations', 'job_data', 'job_queue', 'job_records', 'job_events', 'job_idempotency',"
                        "'job_totals', 'job_mishaps', 'job_upkeep', 'job_conversations', 'worker_sessions',"
                        "'user_sessions', 'token_revocation_counter', 'token_revocations', 'oauth_nonces']) AS name"
                        " WHERE to_regclass(name) IS NULL) m"},
    {"indexes",
     "SELECT " VERDICT(
         "n > 0", "fault", "'without a primary key or with an invalid index: ' || names",
         "'every table has its key'") " FROM (SELECT count(*) AS n, string_agg(c.relname, ', ') AS names FROM pg_class c"
                                      " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
                                      " AND (c.relname ~ '^(job|token)_' OR c.relname IN ('worker_sessions', 'user_sessions',"
                                      "  'oauth_nonces', 'audit_log', 'mcpbus_migrations'))"
                                      " AND (NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique"
                                      "  AND i.indisvalid) OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid"
                                      "  AND NOT i.indisvalid))) m"},
    {"triggers",
     "SELECT " VERDICT(
         "n > 0", "fault", "'missing on job_data: ' || names",
         "'all there'") " FROM (SELECT count(*) AS n, string_agg(name, ', ') AS names FROM unnest(ARRAY["
                        "'job_data_deleted', 'job_data_truncated', 'job_data_mishap']) AS name WHERE NOT EXISTS"
                        " (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('job_data') AND tgname = name"
                        "  AND tgenabled <> 'D')) m"},
};
const size_t backup_structure_check_count =
    sizeof backup_structure_checks / sizeof *backup_structure_checks;

/* (migration, name, what it is: a relation, a function, or a trigger of this table). */
#define ADDED                                                                                 \
    "(8, 'own_jobs', 'r'), (8, 'own_jobs_of_many', 'r'), (8, 'own_job_rows', 'r'),"           \
    "(8, 'own_job_events', 'r'), (8, 'own_job_list', 'r'), (8, 'own_job_queue', 'r'),"        \
    "(8, 'own_job_mishaps', 'r'), (8, 'own_job_totals', 'r'), (8, 'own_conversations', 'r')," \
    "(10, 'job_webhooks', 'r'), (10, 'job_webhook_put', 'f'),"                                \
    "(10, 'job_data_told', 'job_data'), (10, 'job_queue_told', 'job_queue'),"                 \
    "(10, 'job_webhooks_deleted', 'job_data'), (10, 'job_webhooks_truncated', 'job_data'),"   \
    "(12, 'audit_log', 'r'), (12, 'audit_log_kept', 'audit_log'),"                            \
    "(13, 'job_stats', 'r'), (13, 'job_stats_sources', 'r')"

const struct backup_check backup_checks[] = {
    {"additions",
     "SELECT " VERDICT(
         "n > 0", "fault", "'missing: ' || names",
         "'all there'") " FROM (SELECT count(*) AS n, string_agg(name, ', ' ORDER BY since, name) AS names FROM (VALUES " ADDED
                        ") AS part (since, name, kind) WHERE since IN (SELECT version FROM mcpbus_migrations)"
                        " AND NOT CASE kind WHEN 'r' THEN to_regclass(name) IS NOT NULL"
                        " WHEN 'f' THEN to_regproc(name) IS NOT NULL"
                        " ELSE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(kind) AND tgname = name"
                        "  AND tgenabled <> 'D') END) m"},
    {"jobs",
     "SELECT " VERDICT(
         "newest > now() + interval '1 minute'", "note",
         "said || ', which is in the future: is the clock right?'",
         "said") " FROM (SELECT max(created_at) AS newest, format('%s: %s completed, %s failed, %s "
                 "cancelled, %s not ended; the newest was accepted %s', count(*),"
                 " count(*) FILTER (WHERE status = 'completed'),"
                 " count(*) FILTER (WHERE status = 'failed'),"
                 " count(*) FILTER (WHERE status = 'cancelled'),"
                 " count(*) FILTER (WHERE status = 'pending'),"
                 " coalesce(" UTC("max(created_at)") ", 'never')) AS said FROM job_data) j"},
    {"queue",
     "SELECT " VERDICT(
         "lost + stray + ended > 0", "fault",
         "format('%s unfinished jobs are in no queue and would never run, %s in the queue have no"
         " job, %s there have ended', lost, stray, ended)",
         "'every unfinished job is in it, and nothing else'") " FROM (SELECT (SELECT count(*) FROM job_data d WHERE d.status NOT IN ('completed', 'failed',"
                                                              "  'cancelled') AND NOT EXISTS (SELECT FROM job_queue q WHERE q.job_id = d.id)) AS lost,"
                                                              " (SELECT count(*) FROM job_queue q WHERE NOT EXISTS"
                                                              "  (SELECT FROM job_data d WHERE d.id = q.job_id)) AS stray,"
                                                              " (SELECT count(*) FROM job_queue q JOIN job_data d ON d.id = q.job_id"
                                                              "  WHERE d.status IN ('completed', 'failed', 'cancelled')) AS ended) m"},
    {"unfinished",
     "SELECT " VERDICT(
         "running + waiting > 0", "note",
         "format('%s were running: each runs again, and what its attempt has done since is done"
         " twice; %s waited: they run, perhaps for the second time if the original went on after"
         " this copy was made', running, waiting)",
         "'none'") " FROM (SELECT count(*) FILTER (WHERE state = 1) AS running,"
                   " count(*) FILTER (WHERE state = 0) AS waiting FROM job_queue) m"},
    {"approvals",
     "SELECT " VERDICT(
         "n > 0", "note",
         "format('%s wait for their users; answers given since must be given again',"
         " n)",
         "'none wait'") " FROM (SELECT count(*) FROM job_queue WHERE state = 2) m (n)"},
    {"events",
     "SELECT " VERDICT(
         "gaps + stray > 0", "fault", "format('%s jobs lack some, %s are of no job', gaps, stray)",
         "format('%s, without gaps', n)") " FROM (SELECT (SELECT count(*) FROM job_events) AS n,"
                                          " (SELECT count(*) FROM (SELECT d.id, coalesce(q.events, d.events - 1) AS want FROM job_data d"
                                          "   LEFT JOIN job_queue q ON q.job_id = d.id) j LEFT JOIN (SELECT job_id, max(seq) AS last,"
                                          "   max(seq) - min(seq) + 1 = count(*) AS whole FROM job_events GROUP BY job_id) e"
                                          "  ON e.job_id = j.id WHERE e.last <> want OR NOT e.whole OR e.last IS NULL AND want > 2"
                                          "  ) AS gaps,"
                                          " (SELECT count(*) FROM job_events e WHERE NOT EXISTS"
                                          "  (SELECT FROM job_data d WHERE d.id = e.job_id)) AS stray) m"},
    {"lists",
     "SELECT " VERDICT(
         "n > 0", "fault", "format('%s failed or cancelled jobs are in no list', n)",
         "'failed and cancelled jobs are all in theirs'") " FROM (SELECT count(*) FROM job_data d WHERE d.status IN ('failed', 'cancelled')"
                                                          " AND NOT EXISTS (SELECT FROM job_mishaps m WHERE m.id = d.id AND m.user_id = d.user_id"
                                                          "  AND m.status = d.status)) m (n)"},
    {"log-outs",
     "SELECT " VERDICT(
         "counters <> 1 OR seq < newest OR seq < generation", "fault",
         "format('the counter stands at %s, numbers up to %s are in use: log-outs would be "
         "overlooked', coalesce(seq, 0), greatest(newest, generation))",
         "format('the counter stands at %s; whoever logged out after this copy was made is signed"
         " in again for as long as their token lives, 24 hours at most', seq)") " FROM (SELECT (SELECT count(*) FROM token_revocation_counter) AS counters,"
                                                                                " (SELECT max(seq) FROM token_revocation_counter) AS seq,"
                                                                                " (SELECT coalesce(max(seq), 0) FROM token_revocations) AS newest,"
                                                                                " (SELECT coalesce(max(generation), 0) FROM user_sessions) AS generation) m"},
};
const size_t backup_check_count = sizeof backup_checks / sizeof *backup_checks;

const char backup_tokens_sql[] =
    "SELECT coalesce(json_object_agg(id, json_build_array(n, user_id, field, value)), '{}') FROM ("
    " SELECT id, count(*) AS n, (array_agg(user_id ORDER BY user_id))[1] AS user_id,"
    "  (array_agg(field ORDER BY user_id))[1] AS field,"
    "  (array_agg(value ORDER BY user_id))[1] AS value"
    " FROM (SELECT user_id, coalesce(substring(text FROM '\"v1\\.([0-9a-f]{8})\\.'), '') AS id,"
    "   substring(text FROM '\"(access|refresh)_token\": ?\"v1\\.') AS field,"
    "   substring(text FROM '\"(v1\\.[^\"]*)\"') AS value"
    "  FROM (SELECT user_id, token_data::text AS text FROM user_sessions"
    "   WHERE position('token' IN token_data::text) > 0) s) k GROUP BY id) g";
const char backup_newest_sql[] =
    "SELECT coalesce(max(created_at), '-infinity')::text FROM job_data";
const char backup_count_sql[] =
    "SELECT count(*)::text FROM job_data WHERE created_at < $1::timestamptz - interval '10 seconds'";
const char backup_since_sql[] =
    "SELECT format('%s jobs were accepted there since, which this copy has not; %s log-outs',"
    " (SELECT count(*) FROM job_data WHERE created_at > $1::timestamptz),"
    " (SELECT count(*) FROM token_revocations WHERE seq > $2::bigint))";
