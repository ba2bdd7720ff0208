/* Instances of the services: their start, their orderly end as libcommon/service.c has it, and the
 * ends that nobody asked for. */
#include <stdio.h>
#include <string.h>

#include "services/settings.h"
#include "tests/sim/sim.h"

enum { DRAIN_TICK = 5 * SIM_MS, DRAIN_DEFAULT_MS = 5000 };

int sim_jobs_main(int argc, char **argv);
int sim_worker_main(int argc, char **argv);

static const struct service_def *captured;

int service_main(const struct service_def *def, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    captured = def;
    return 0;
}

static const struct service_def *def_of(enum sim_role role)
{
    captured = NULL;
    if (role == SIM_JOBS)
        sim_jobs_main(0, NULL);
    else if (role == SIM_WORKER)
        sim_worker_main(0, NULL);
    return captured;
}

static void start_service(struct instance *instance)
{
    const struct service_def *def = instance->def;
    struct service *service = &instance->service;
    service->settings = sim.settings;
    if (def && def->early && def->early(service) != ERR_OK)
        sim_fail("%s does not start", instance->name);
    service->loop = loop_new();
    struct bus_options options = {.endpoints = "",
                                  .service = def ? def->name : "gateway",
                                  .methods = def ? def->methods : NULL,
                                  .method_count = def ? def->method_count : 0,
                                  .handler_arg = service};
    if (bus_new(service->loop, &options, &service->bus) != ERR_OK)
        sim_fail("%s has no bus", instance->name);
    if (def && def->start(service) != ERR_OK)
        sim_fail("%s does not start", instance->name);
    if (instance->role == SIM_CLIENT)
        sim_client_start(instance);
}

struct instance *sim_start(enum sim_role role, unsigned slot)
{
    static const char *const names[] = {"jobs", "worker", "client"};
    if (sim.instance_count == SIM_INSTANCES_MAX) {
        sim_fail("more than %d instances", SIM_INSTANCES_MAX);
        return NULL;
    }
    struct instance *instance = sim_new(sizeof *instance);
    instance->memory.next = instance->memory.prev = &instance->memory;
    instance->held_tail = &instance->held;
    instance->role = role;
    instance->slot = slot;
    instance->index = (unsigned)sim.instance_count;
    instance->clock_offset_ms = sim_range(0, 100000000);
    instance->def = def_of(role);
    instance->alive = true;
    snprintf(instance->name, sizeof instance->name, "%s-%u.%u", names[role], slot, instance->index);
    sim.instances[sim.instance_count++] = instance;
    if (sim.faulty && role != SIM_CLIENT && sim_chance(sim.faults.crash * 3))
        instance->crash_at = sim_range(1, 3000);
    sim.current = instance;
    start_service(instance);
    sim_settle(instance);
    sim.current = NULL;
    instance->bytes_idle = instance->bytes;
    sim_trace("%s starts as %s", instance->name, bus_instance_text(instance->service.bus));
    return instance;
}

static void gone(struct instance *instance)
{
    instance->alive = instance->frozen = false;
    instance->held = NULL;
    instance->service = (struct service){0};
    sim_memory_release(&instance->memory);
}

void sim_crash(struct instance *instance)
{
    if (!instance->alive)
        return;
    sim_trace("%s crashes", instance->name);
    sim_worker_gone(instance);
    gone(instance);
}

static void stop_service(struct instance *instance, bool drained)
{
    struct service *service = &instance->service;
    sim_trace("%s ends%s", instance->name, drained ? "" : ", not drained");
    instance->def->stop(service);
    sim_settle(instance);
    bus_destroy(&service->bus);
    loop_destroy(&service->loop);
    if (drained)
        SIM_CHECK(instance->bytes == 0, "%s leaves %zu bytes", instance->name, instance->bytes);
    sim_worker_gone(instance);
    instance->alive = false;
}

static void on_drain_tick(void *arg)
{
    struct instance *instance = arg;
    struct service *service = &instance->service;
    bool idle = bus_active(service->bus) == 0 && instance->def->drained(service);
    if (!idle && sim.now < instance->leave_by) {
        sim_at(instance, DRAIN_TICK, on_drain_tick, instance);
        return;
    }
    stop_service(instance, idle);
    gone(instance);
}

static void on_leave(void *arg)
{
    struct instance *instance = arg;
    int drain_ms = instance->def->drain_ms ? instance->def->drain_ms : DRAIN_DEFAULT_MS;
    bus_drain(instance->service.bus);
    if (instance->def->drain)
        instance->def->drain(&instance->service);
    instance->leave_by = sim.now + (int64_t)drain_ms * SIM_MS;
    on_drain_tick(instance);
}

void sim_leave(struct instance *instance)
{
    if (!instance->alive || instance->leaving || !instance->def)
        return;
    sim_trace("%s is told to end", instance->name);
    instance->leaving = true;
    sim_at(instance, 0, on_leave, instance);
}

struct instance *sim_find(enum sim_role role, unsigned slot)
{
    for (size_t i = sim.instance_count; i > 0; i--) {
        struct instance *instance = sim.instances[i - 1];
        if (instance->role == role && instance->slot == slot && instance->alive)
            return instance;
    }
    return NULL;
}
