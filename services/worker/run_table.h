/* The runs of a worker by (job id, attempt), and the memory of those that have ended: a run told
 * twice is one run. Owns no run. */
#ifndef MCPBUS_WORKER_RUN_TABLE_H
#define MCPBUS_WORKER_RUN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RUN_TABLE_REMEMBERED = 8192 };

struct run_table;
struct run_table *run_table_new(void);
void run_table_destroy(struct run_table **table_p);

void *run_table_get(const struct run_table *table, const char *job_id, int64_t attempt);
/* Is it here, or has it been here lately? */
bool run_table_knows(const struct run_table *table, const char *job_id, int64_t attempt);
/* It must not be there yet. */
void run_table_put(struct run_table *table, const char *job_id, int64_t attempt, void *run);
/* Takes a run out; `ended`: it is remembered, as its outcome is on record. */
void run_table_take(struct run_table *table, const char *job_id, int64_t attempt, bool ended);
/* Remembers one that is not to run, here or not. */
void run_table_remember(struct run_table *table, const char *job_id, int64_t attempt);
size_t run_table_count(const struct run_table *table);
/* As map_next: the run just given may be taken out. */
void *run_table_next(const struct run_table *table, size_t *at);

#endif
