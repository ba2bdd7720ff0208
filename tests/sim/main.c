/* mcpbus-sim: the queue's own code, run through many invented histories.
 *
 *     mcpbus-sim --seeds N [--first S]   N seeds from S (1) on; ends at the first that fails
 *     mcpbus-sim --seed S                one, with a trace that can be read
 *     --steps N                          events of one seed at most
 *     --bug N                            with a seeded fault (enum db_bug): a seed has to fail
 *     --bugs                             with each of them in turn: all have to be found
 *     --twice                            each seed twice, to see that they are the same
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/settings.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_clients.h"
#include "tests/sim/sim_db.h"

enum {
    STEPS_MAX = 2000000,
    CALM_US = 120 * SIM_SECOND,
    SETTLE_US = 13 * SIM_SECOND,
    STOP_US = 15 * SIM_SECOND
};

static struct {
    uint64_t first, count, steps;
    int bug;
    bool one, twice, bugs;
} options = {.first = 1, .count = 0, .steps = STEPS_MAX};

/* Each kind of trouble in some seeds only, so that each is seen alone and together with others. */
static unsigned some(unsigned most)
{
    static const unsigned parts[] = {0, 0, 1, 4, 20};
    return most / 20 * parts[sim_range(0, 4)];
}

static void draw_faults(void)
{
    sim.faulty = sim.seed % 8 != 0;
    sim.faults = (struct sim_faults){0};
    if (!sim.faulty)
        return;
    sim.faults = (struct sim_faults){
        .drop = some(150000),
        .twice = some(60000),
        .late = some(60000),
        .crash = some(40000),
        .freeze = some(20000),
        .cut = some(20000),
        .broker = some(20000),
        .stop = some(20000),
        .db_away = some(10000),
        .db_slow = some(100000),
        .db_unknown = some(60000),
        .db_locked = some(60000),
    };
}

static struct settings settings;

static void draw_settings(void)
{
    sim.echo = sim_chance(250000);
    sim.hangs = sim_chance(100000) ? 300000 : 20000;
    if (sim.bug == DB_BUG_HELD_ECHOED) /* which shows only in runs that go on */
        sim.hangs = 300000;
    settings = (struct settings){
        .database_url = "postgresql://sim",
        .openai_api_key = "none",
        .openai_model = "none",
        .time_zone = "UTC",
        .approval = "none",
        .worker_runner = sim.echo ? "echo" : "agent",
        .worker_concurrency = sim_range(1, 6),
        .max_turns = 10,
        .tool_timeout = 10,
        .model_timeout = 10,
        .job_timeout = sim_range(15, 40),
        .job_max_attempts = 3,
        .approval_timeout = sim_range(2, 40),
        .queue_limit = 10000,
    };
    sim.settings = &settings;
}

static bool is_quiet(void)
{
    for (size_t i = 0; i < sim_db()->job_count; i++)
        if (sim_db()->jobs[i]->queued)
            return false;
    return sim_clients_done();
}

/* A user's first job among another's many: it waits for a few of them at most. */
static void run_flood(unsigned workers)
{
    sim_clients_begin(0, 0);
    sim_run(sim.now + 2 * SIM_SECOND);
    sim_clients_flood(30 * workers * (unsigned)settings.worker_concurrency);
    sim_run(sim.now + sim_range(60 * SIM_MS, SIM_SECOND));
    check_first_waits("one");
    sim_clients_one("one");
}

/* An orderly end leaves no memory behind. */
static void stop_all(enum sim_role role)
{
    nemesis_rest();
    for (size_t i = 0; i < sim.instance_count; i++)
        if (sim.instances[i]->role == role)
            sim_leave(sim.instances[i]);
    for (int64_t end = sim.now + STOP_US; sim.now < end && sim_find(role, 0) && !sim.failed;)
        sim_run(sim.now + SIM_SECOND / 10);
    SIM_CHECK(!sim_find(role, 0), "%s does not end", sim_find(role, 0)->name);
}

static void run_world(void)
{
    unsigned jobs = (unsigned)sim_range(1, 3), workers = (unsigned)sim_range(1, 3);
    sim_start(SIM_CLIENT, 0);
    sim_start(SIM_CLIENT, 1);
    nemesis_begin(jobs, workers);
    if (!sim.faulty && sim.seed % 16 == 0) {
        run_flood(workers);
    } else {
        sim_clients_begin((unsigned)sim_range(10, 50), sim_range(5, 30) * SIM_SECOND);
        sim_run(sim.now + 30 * SIM_SECOND);
    }
    nemesis_end();
    int64_t begin = sim.now;
    while (sim.now - check_last_change() < CALM_US && !sim.failed && !is_quiet()) {
        sim_run(sim.now + SIM_SECOND / 4);
        check_progress(begin);
    }
    SIM_CHECK(sim_clients_done(), "a client still waits");
    sim_run(sim.now + SETTLE_US);
    if (!sim.failed)
        check_idle();
    /* Claims that were under way, those made while its commit was on its way to its replica, and a
     * turn of each replica. A worker with fewer slots than there
     * are replicas gives the next free one to the replica that hears of it first: no bound holds
     * then. */
    SIM_CHECK(settings.worker_concurrency < jobs ||
                  check_others_before() <= 2 * workers * settings.worker_concurrency + 2 * jobs,
              "a first job waited for %lld of another's", (long long)check_others_before());
    stop_all(SIM_WORKER);
    stop_all(SIM_JOBS);
}

static uint64_t run_seed(uint64_t seed, bool tracing)
{
    sim_begin(seed);
    sim.tracing = tracing;
    sim.bug = options.bug;
    sim.steps_max = options.steps;
    draw_settings();
    draw_faults();
    sim_store_begin();
    sim_bus_begin();
    sim_worker_begin();
    check_begin();
    run_world();
    sim_end();
    return sim.hash;
}

static bool run_one(uint64_t seed)
{
    uint64_t hash = run_seed(seed, options.one), steps = sim.steps;
    bool failed = sim.failed;
    if (options.twice && (run_seed(seed, false) != hash || sim.steps != steps)) {
        printf("seed %llu is not the same twice\n", (unsigned long long)seed);
        return false;
    }
    if (failed)
        printf("seed %llu failed at step %llu: %s\n  replay: mcpbus-sim --seed %llu --bug %d\n",
               (unsigned long long)seed, (unsigned long long)steps, sim.why,
               (unsigned long long)seed, options.bug);
    else if (options.one)
        printf("seed %llu: %llu steps, hash %016llx\n", (unsigned long long)seed,
               (unsigned long long)steps, (unsigned long long)hash);
    return !failed;
}

/* Each seeded fault is found by one of the seeds. */
static int run_bugs(void)
{
    int missed = 0;
    for (options.bug = 1; options.bug < DB_BUG_COUNT; options.bug++) {
        uint64_t seed = options.first;
        do
            run_seed(seed, false);
        while (!sim.failed && ++seed < options.first + options.count);
        if (sim.failed)
            printf("bug %d: seed %llu: %s\n", options.bug, (unsigned long long)seed, sim.why);
        else
            printf("bug %d: not found\n", options.bug);
        missed += !sim.failed;
    }
    return missed ? 1 : 0;
}

static void read_one(uint64_t seed)
{
    options.first = seed;
    options.count = 1;
    options.one = true;
}

static bool read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--twice") || !strcmp(argv[i], "--bugs")) {
            *(argv[i][2] == 't' ? &options.twice : &options.bugs) = true;
            continue;
        }
        if (!value)
            return false;
        uint64_t number = strtoull(value, NULL, 10);
        if (!strcmp(argv[i], "--seeds"))
            options.count = number;
        else if (!strcmp(argv[i], "--first"))
            options.first = number;
        else if (!strcmp(argv[i], "--steps"))
            options.steps = number;
        else if (!strcmp(argv[i], "--bug"))
            options.bug = (int)number;
        else if (!strcmp(argv[i], "--seed"))
            read_one(number);
        else
            return false;
        i++;
    }
    return options.count > 0 && options.bug < DB_BUG_COUNT;
}

int main(int argc, char **argv)
{
    uint64_t steps = 0, seed;
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: mcpbus-sim --seeds N [--first S] | --seed S"
                        " [--steps N] [--bug N] [--twice] [--bugs]\n");
        return 2;
    }
    sim_memory_setup();
    if (options.bugs)
        return run_bugs();
    for (seed = options.first; seed < options.first + options.count; seed++) {
        if (!run_one(seed))
            return 1;
        steps += sim.steps;
    }
    printf("%llu seeds, %llu steps: all well\n", (unsigned long long)options.count,
           (unsigned long long)steps);
    return 0;
}
