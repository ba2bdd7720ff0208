/* What a request asks of the bus. */
#include <string.h>

#include "proto/proto.h"
#include "services/monitor/monitor.h"

static void leave_fleet(struct call *call)
{
    struct call **place = &call->monitor->fleet_waiting;
    if (!call->waits_for_fleet)
        return;
    call->waits_for_fleet = false;
    while (*place && *place != call)
        place = &(*place)->fleet_next;
    if (*place)
        *place = call->fleet_next;
    call->fleet_next = NULL;
}

void call_forget_asks(struct call *call)
{
    for (size_t i = 0; i < call->ask_count; i++) {
        answers_drop(&call->asks[i].asked);
        told_fini(&call->asks[i].told);
    }
    memset(call->asks, 0, sizeof(call->asks));
    call->ask_count = 0;
    call->then = NULL;
    leave_fleet(call);
    if (call->patience)
        loop_timer_stop(call->patience);
}

static bool is_complete(const struct call *call)
{
    for (size_t i = 0; i < call->ask_count; i++)
        if (!call->asks[i].there)
            return false;
    return !call->waits_for_fleet;
}

static void go_on(struct call *call)
{
    call_fn *then = call->then;
    if (!then || !is_complete(call))
        return;
    call->then = NULL;
    if (call->patience)
        loop_timer_stop(call->patience);
    then(call);
}

static void on_told(void *arg, const struct told *told)
{
    struct call_ask *ask = arg;
    told_copy(&ask->told, told);
    ask->there = true;
    go_on(ask->call);
}

void call_ask(struct call *call, struct question question)
{
    struct call_ask *ask = &call->asks[call->ask_count++];
    ask->call = call;
    ask->asked.fn = on_told;
    ask->asked.arg = ask;
    ask->there = answers_ask(call->monitor->answers, &ask->asked, question, &ask->told);
}

void call_ask_fleet(struct call *call)
{
    struct monitor *monitor = call->monitor;
    fleet_look(monitor->fleet);
    if (fleet_settled(monitor->fleet) || call->waits_for_fleet)
        return;
    call->waits_for_fleet = true;
    call->fleet_next = monitor->fleet_waiting;
    monitor->fleet_waiting = call;
}

void call_fleet_settled(struct monitor *monitor)
{
    struct call *call;
    while ((call = monitor->fleet_waiting)) {
        leave_fleet(call);
        go_on(call);
    }
}

static void on_impatient(void *arg)
{
    struct call *call = arg;
    leave_fleet(call);
    for (size_t i = 0; i < call->ask_count; i++) {
        struct call_ask *ask = &call->asks[i];
        if (!ask->there)
            ask->there = answers_settle(call->monitor->answers, &ask->asked, &ask->told);
    }
    go_on(call);
}

void call_then(struct call *call, call_fn *then)
{
    call->then = then;
    if (is_complete(call)) {
        go_on(call);
        return;
    }
    if (!call->patience)
        call->patience = loop_timer_new(call->monitor->loop, on_impatient, call);
    loop_timer_start(call->patience, PATIENCE_MS);
}

const struct told *call_told(const struct call *call, size_t n)
{
    return &call->asks[n].told;
}

bool call_told_failed(struct call *call, size_t n)
{
    const struct told *told = call_told(call, n);
    if (told->error == ERR_OK)
        return false;
    call_error(call, told->error, told->detail, told->retry_after_ms);
    return true;
}

static void answered(void *arg, const struct bus_answer *answer)
{
    struct call *call = arg;
    if (!answer->last)
        return;
    call->bus_call = 0;
    answers_expire(call->monitor->answers);
    if (call_request(call))
        call->on_answer(call, answer);
}

static bool is_repeatable(const char *name)
{
    struct proto_target target;
    const struct proto_method *method = proto_target_parse(name, strlen(name), &target)
                                            ? NULL
                                            : proto_method_find(target.service, target.method);
    return method && method->idempotent;
}

void call_act(struct call *call, const char *method, json_t *args, call_answer_fn *on_answer)
{
    call->on_answer = on_answer;
    call->bus_call =
        bus_call(call->monitor->bus,
                 (struct bus_request){.method = method,
                                      .args = args,
                                      .timeout_ms = ACT_TIMEOUT_MS,
                                      .idempotent = is_repeatable(method),
                                      .request_id = http_request_trace(call_request(call))},
                 answered, call);
}

static void on_again(void *arg)
{
    go_on(arg);
}

void call_later(struct call *call, int64_t delay_ms, call_fn *then)
{
    call_forget_asks(call);
    call->then = then;
    if (!call->again)
        call->again = loop_timer_new(call->monitor->loop, on_again, call);
    loop_timer_start(call->again, delay_ms);
}
