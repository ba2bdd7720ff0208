/* The statistics of the store. Every store*.c counts what its statements have committed. */
#ifndef MCPBUS_JOBS_STORE_STATS_H
#define MCPBUS_JOBS_STORE_STATS_H

#include "services/jobs/stats.h"
#include "services/jobs/store_internal.h"

void store_stats_init(struct store *store);
void store_stats_fini(struct store *store); /* when the connections have gone */

/* The first wait of a job, in the statistics and the process's metrics. Below 0: not known. */
void store_stats_waited(struct store *store, int64_t us);

/* What a statement has just done is added to this. */
struct stats *store_stats_now(struct store *store);
/* Ends of jobs, as the text of an array of pairs: run and total time in µs, −1: not known. */
void store_stats_ends(struct store *store, const char *pairs);
/* The same as JSON, with the token_usage of each: [[run, total, usage], …]. */
void store_stats_ends_json(struct store *store, const char *text, size_t len);

#endif
