/* The simulated world: one thread, a virtual clock, one seeded generator that decides everything.
 * The services' own code runs in it as instances; what they reach beyond themselves (loop, bus,
 * store, run processes, random numbers, clocks, memory) is replaced at link time by files here.
 *
 * Memory is counted by instance: a crash takes all that an instance had, whatever it pointed to;
 * an instance that stops in order must have given back everything. What the world itself allocates
 * goes at the end of the seed. */
#ifndef MCPBUS_SIM_SIM_H
#define MCPBUS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/service.h"

enum { SIM_MS = 1000, SIM_SECOND = 1000 * SIM_MS, SIM_BROKERS = 2, SIM_INSTANCES_MAX = 512 };

enum sim_role { SIM_JOBS, SIM_WORKER, SIM_CLIENT, SIM_ROLES };

struct sim_block { /* before each piece of memory */
    struct sim_block *next, *prev;
    struct instance *owner;
    size_t size;
};

struct sim_event;
struct sim_zygote;

struct instance {
    enum sim_role role;
    unsigned slot; /* which of its role; a restarted one takes the same */
    unsigned index;
    char name[24];
    bool alive, frozen, leaving;
    bool dying;              /* this event is its last: what it sends may not leave */
    int64_t steps, crash_at; /* events handled; 0: no crash is planned */
    int64_t clock_offset_ms;
    struct service service;
    const struct service_def *def;
    struct sim_zygote *zygote;
    void *client;
    struct sim_block memory;
    size_t bytes, bytes_idle;
    struct sim_event *held, **held_tail; /* while frozen */
    bool cut[SIM_BROKERS];
    int64_t leave_by;
};

/* What a seed may do, each in parts of a million for each chance that it gets. */
struct sim_faults {
    unsigned drop, twice, late;                       /* a message */
    unsigned crash, freeze, cut, broker, stop;        /* a tick of the nemesis */
    unsigned db_away, db_slow, db_unknown, db_locked; /* the store */
};

struct sim {
    uint64_t seed, random[4], hash;
    int64_t now; /* microseconds */
    struct instance *current;
    struct sim_block memory; /* the world's */
    struct sim_event **heap;
    size_t heap_len, heap_cap;
    uint64_t next_event, steps, steps_max;
    bool tracing, faulty, failed;
    char why[512];
    int bug;
    bool echo;
    unsigned hangs; /* runs that end only by being killed, of a million */
    struct sim_faults faults;
    struct instance *instances[SIM_INSTANCES_MAX];
    size_t instance_count;
    struct settings *settings;
};
extern struct sim sim;

/* sim_core.c */
void sim_begin(uint64_t seed);
void sim_end(void);
uint64_t sim_random(void);
int64_t sim_range(int64_t from, int64_t to); /* both may come */
bool sim_chance(unsigned of_a_million);
typedef void sim_fn(void *arg);
/* Calls fn(arg) in `delay` microseconds within `to` (NULL: the world), if that still lives then. */
void sim_at(struct instance *to, int64_t delay, sim_fn *fn, void *arg);
bool sim_step(void); /* false: nothing is left to do */
void sim_run(int64_t until);
__attribute__((format(printf, 1, 2))) void sim_trace(const char *fmt, ...);
/* The seed has failed; the first reason stays. */
__attribute__((format(printf, 1, 2))) void sim_fail(const char *fmt, ...);
#define SIM_CHECK(condition, ...)  \
    do {                           \
        if (!(condition))          \
            sim_fail(__VA_ARGS__); \
    } while (0)

/* sim_memory.c: memory of the world, whoever is current. */
void sim_memory_setup(void);
void *sim_new(size_t size);
char *sim_text(const char *text); /* NULL gives NULL */
void sim_memory_release(struct sim_block *list);
/* Until sim_back, what is allocated is the world's. */
struct instance *sim_world(void);
void sim_back(struct instance *was);

/* sim_loop.c */
int64_t sim_clock_ms(const struct instance *instance);
void sim_settle(struct instance *instance); /* deferred calls and sources, until all is quiet */

/* sim_bus.c */
void sim_bus_begin(void);
void sim_bus_gone(struct instance *instance); /* it crashed, or closed its bus */
void sim_broker_set(unsigned broker, bool up);
void sim_bus_tick(void);
size_t sim_bus_calls(const struct bus *bus);

/* sim_store.c */
void sim_store_begin(void);
void sim_store_away(bool away);
struct db *sim_db(void);
int64_t sim_db_now(void);

/* sim_worker.c: zygotes, run processes. */
void sim_worker_begin(void);
void sim_worker_gone(struct instance *instance);
size_t sim_runs_alive(void);

/* sim_services.c */
struct instance *sim_start(enum sim_role role, unsigned slot);
void sim_crash(struct instance *instance);
void sim_freeze(struct instance *instance, int64_t for_us);
void sim_wake(struct instance *instance);
void sim_leave(struct instance *instance);                    /* SIGTERM */
struct instance *sim_find(enum sim_role role, unsigned slot); /* NULL: it is down */

/* sim_clients.c */
void sim_client_start(struct instance *instance);

/* sim_check.c: what must always hold. */
struct db_job;
void check_begin(void);
void check_accepted(const char *job_id, const char *user_id, const char *key);
void check_run_begins(const char *job_id, int64_t attempt, const char *where);
void check_run_acts(const char *job_id, int64_t attempt);
void check_run_ends(const char *job_id, int64_t attempt);
void check_progress(int64_t calm_since);
int64_t check_last_change(void); /* of a job */
void check_idle(void);           /* all is over: everything has ended, nothing is held */

/* sim_nemesis.c */
void nemesis_begin(unsigned jobs, unsigned workers);
void nemesis_end(void);  /* nothing breaks any more */
void nemesis_rest(void); /* what ends stays away */

#endif
