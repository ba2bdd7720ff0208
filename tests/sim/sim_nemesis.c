/* Trouble: replicas that crash, freeze, are cut off or restarted; brokers and the database away. */
#include "tests/sim/sim.h"

enum { TICK = 50 * SIM_MS };

static struct {
    bool active;
    unsigned replicas[SIM_ROLES];
} nemesis;

struct again {
    enum sim_role role;
    unsigned slot;
};

static void start_again(void *arg)
{
    struct again *again = arg;
    if (!sim_find(again->role, again->slot))
        sim_start(again->role, again->slot);
}

/* A supervisor: what is down comes back. */
static void supervise(void)
{
    for (enum sim_role role = SIM_JOBS; role <= SIM_WORKER; role++) {
        for (unsigned slot = 0; slot < nemesis.replicas[role]; slot++) {
            if (sim_find(role, slot))
                continue;
            struct again *again = sim_new(sizeof *again);
            *again = (struct again){role, slot};
            sim_at(NULL, sim_range(0, nemesis.active ? 2 * SIM_SECOND : SIM_SECOND / 4),
                   start_again, again);
        }
    }
}

static void heal(void *arg)
{
    struct instance *instance = arg;
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        instance->cut[i] = false;
}

static void broker_back(void *arg)
{
    sim_broker_set((unsigned)(uintptr_t)arg, true);
}

static void database_back(void *arg)
{
    (void)arg;
    sim_store_away(false);
}

static struct instance *victim(void)
{
    enum sim_role role = sim_chance(500000) ? SIM_WORKER : SIM_JOBS;
    return sim_find(role, (unsigned)sim_range(0, nemesis.replicas[role] - 1));
}

static void hurt_instance(struct instance *instance)
{
    if (sim_chance(sim.faults.crash))
        sim_crash(instance);
    else if (sim_chance(sim.faults.freeze))
        sim_freeze(instance, sim_range(100 * SIM_MS, 20 * SIM_SECOND));
    else if (sim_chance(sim.faults.stop))
        sim_leave(instance);
    if (!sim_chance(sim.faults.cut))
        return;
    sim_trace("%s is cut off", instance->name);
    bool all = sim_chance(300000);
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        instance->cut[i] = all || sim_chance(500000);
    sim_at(NULL, sim_range(100 * SIM_MS, 15 * SIM_SECOND), heal, instance);
}

static void hurt_others(void)
{
    if (sim_chance(sim.faults.broker)) {
        unsigned broker = (unsigned)sim_range(0, SIM_BROKERS - 1);
        sim_broker_set(broker, false);
        sim_at(NULL, sim_range(50 * SIM_MS, 6 * SIM_SECOND), broker_back,
               (void *)(uintptr_t)broker);
    }
    if (sim_chance(sim.faults.db_away)) {
        sim_store_away(true);
        sim_at(NULL, sim_range(50 * SIM_MS, 8 * SIM_SECOND), database_back, NULL);
    }
}

static void tick(void *arg)
{
    (void)arg;
    sim_bus_tick();
    supervise();
    if (nemesis.active) {
        struct instance *instance = victim();
        if (instance)
            hurt_instance(instance);
        hurt_others();
    }
    sim_at(NULL, TICK, tick, NULL);
}

void nemesis_begin(unsigned jobs, unsigned workers)
{
    nemesis.active = sim.faulty;
    nemesis.replicas[SIM_JOBS] = jobs;
    nemesis.replicas[SIM_WORKER] = workers;
    for (unsigned i = 0; i < jobs; i++)
        sim_start(SIM_JOBS, i);
    for (unsigned i = 0; i < workers; i++)
        sim_start(SIM_WORKER, i);
    tick(NULL);
}

void nemesis_end(void)
{
    sim_trace("no more trouble");
    nemesis.active = false;
    sim.faults = (struct sim_faults){0};
    sim_store_away(false);
    for (unsigned i = 0; i < SIM_BROKERS; i++)
        sim_broker_set(i, true);
    for (size_t i = 0; i < sim.instance_count; i++) {
        sim.instances[i]->crash_at = 0;
        heal(sim.instances[i]);
        sim_wake(sim.instances[i]);
    }
}

void nemesis_rest(void)
{
    nemesis.replicas[SIM_JOBS] = nemesis.replicas[SIM_WORKER] = 0;
}
