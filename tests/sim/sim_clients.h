#ifndef MCPBUS_SIM_SIM_CLIENTS_H
#define MCPBUS_SIM_SIM_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

/* `jobs` orders of several users, at chance moments within so many microseconds. */
void sim_clients_begin(unsigned jobs, int64_t within);
/* One user's many jobs at once, in packs; and one job of another. */
void sim_clients_flood(unsigned jobs);
void sim_clients_one(const char *user);
/* Every order was given up, or its job's end was read. */
bool sim_clients_done(void);

/* sim_check.c: counts how many jobs of others are claimed before this user's first. */
void check_first_waits(const char *user_id);
int64_t check_others_before(void);

#endif
