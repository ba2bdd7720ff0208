/* What the sim_db*.c files share. */
#ifndef MCPBUS_SIM_SIM_DB_INTERNAL_H
#define MCPBUS_SIM_SIM_DB_INTERNAL_H

#include "tests/sim/sim_db.h"

struct db_session *db_find_session(const struct db *db, const char *session);
/* Around each change of a job. */
void db_begin(const struct db *db, struct db_job *job);
void db_commit(const struct db *db, struct db_job *job, const char *statement, int64_t attempt);
void db_set(char **to, const char *text);
/* Makes room for one more in the array at *list_p. */
void db_grow(void *list_p, size_t count, size_t *room, size_t size);
void db_requeue(struct db_job *job, int64_t run_at);
/* The row of a run, when this attempt is it. */
struct db_job *db_fenced(struct db *db, const char *job_id, int64_t attempt);
void db_add_event(struct db_job *job, int64_t now, const char *type, const char *data);
/* What a job that nobody speaks for has used: sets its token_usage. */
void db_take_usage(struct db_job *job);
void db_end(struct db *db, int64_t now, struct db_job *job, const char *status);
void db_add_change(struct db *db, struct db_changes *ret, const struct db_job *job,
                   const char *session, bool queued, bool ended);

#endif
