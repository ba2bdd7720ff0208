/* Services: each has a bus of its own on the client's loop. */
#include "libmcpbus/serve.h"

#include <string.h>

#include "libcommon/mem.h"

enum { REQUESTS_DEFAULT = 1024, REQUESTS_MAX = 100000, LOOK_MS = 5, NAMES_MAX_BYTES = 2048 };
enum { CLOSE_MS = 1000 };

static void service_release(struct mcpbus_service *service)
{
    if (atomic_fetch_sub(&service->users, 1) > 1)
        return;
    trouble_fini(&service->trouble);
    map_destroy(&service->requests);
    map_destroy(&service->one_way);
    for (size_t i = 0; i < service->method_count; i++)
        free((char *)service->methods[i].name);
    free(service->methods);
    free(service->handlers);
    free(service->name);
    client_release(service->client);
    free(service);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void on_request(void *arg, struct bus_call *call, const char *method, const char *text,
                       size_t len)
{
    struct mcpbus_service *service = arg;
    size_t i = 0;
    while (strcmp(service->methods[i].name, method) != 0)
        i++; /* the bus knows it from this list */
    request_arrive(service, call, i, text, len);
}

static void on_cancelled(void *arg, struct bus_call *call)
{
    struct mcpbus_service *service = arg;
    struct mcpbus_request *request = map_get(service->requests, &call, sizeof call);
    if (!request)
        return;
    atomic_store(&request->cancelled, true);
    client_tell_change(service->client);
}

static struct mcpbus_service *service_new(struct mcpbus *client,
                                          const struct mcpbus_service_options *options)
{
    struct mcpbus_service *service = mem_alloc(sizeof *service);
    atomic_store(&service->users, 1);
    service->client = client;
    service->name = mem_strdup(options->name);
    service->arg = options->arg;
    service->max_requests = options->max_requests ? options->max_requests : REQUESTS_DEFAULT;
    service->method_count = options->method_count;
    service->methods = mem_alloc(options->method_count * sizeof *service->methods);
    service->handlers = mem_alloc(options->method_count * sizeof *service->handlers);
    for (size_t i = 0; i < options->method_count; i++) {
        service->methods[i].name = mem_strdup(options->methods[i].name);
        service->handlers[i] = options->methods[i].handler;
    }
    trouble_init(&service->trouble);
    service->requests = map_new();
    service->one_way = map_new();
    client_hold(client);
    return service;
}

static bool is_name(const char *name)
{
    return name && proto_is_name(name, strnlen(name, NAMES_MAX_BYTES));
}

static bool has_twice(const struct mcpbus_service_options *options, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(options->methods[i].name, options->methods[at].name) == 0)
            return true;
    return false;
}

static enum mcpbus_status check_methods(const struct mcpbus_service_options *options,
                                        struct mcpbus_error *error)
{
    size_t bytes = 0;
    if (!options->methods || !options->method_count || options->method_count > METHODS_MAX)
        return fail(error, MCPBUS_ERR_INVALID, "options: a service has 1 to %d methods",
                    METHODS_MAX);
    for (size_t i = 0; i < options->method_count; i++) {
        if (!is_name(options->methods[i].name) || !options->methods[i].handler)
            return fail(error, MCPBUS_ERR_INVALID,
                        "options: a method has a name (a-z, 0-9, _) and a handler");
        if (has_twice(options, i))
            return fail(error, MCPBUS_ERR_INVALID, "options: method %s is there twice",
                        options->methods[i].name);
        bytes += strlen(options->methods[i].name) + 3;
    }
    if (bytes > NAMES_MAX_BYTES)
        return fail(error, MCPBUS_ERR_INVALID, "options: the methods' names are too long");
    return MCPBUS_OK;
}

static enum mcpbus_status read_options(const struct mcpbus_service_options *given,
                                       struct mcpbus_service_options *ret_options,
                                       struct mcpbus_error *error)
{
    if (!given || !given->size)
        return fail(error, MCPBUS_ERR_INVALID, "options: size is not set");
    memcpy(ret_options, given,
           given->size < sizeof *ret_options ? given->size : sizeof *ret_options);
    if (!is_name(ret_options->name))
        return fail(error, MCPBUS_ERR_INVALID, "options: name is missing or malformed");
    if (ret_options->max_requests > REQUESTS_MAX)
        return fail(error, MCPBUS_ERR_INVALID, "options: max_requests is at most %d", REQUESTS_MAX);
    return check_methods(ret_options, error);
}

struct opening {
    struct question question;
    struct mcpbus_service *service;
    enum mcpbus_status ret_status;
    char why[BUS_WHY_SIZE];
};

static void on_peers(void *arg)
{
    struct mcpbus_service *service = arg;
    trouble_pass(&service->trouble, service->bus);
    client_tell_change(service->client);
}

static void run_open(struct mcpbus *client, struct command *command)
{
    struct opening *opening = (struct opening *)command;
    struct mcpbus_service *service = opening->service;
    struct bus_options options = client->bus_options;
    options.why = opening->why;
    options.service = service->name;
    options.methods = service->methods;
    options.method_count = service->method_count;
    options.handler_arg = service;
    options.text_handler = on_request;
    options.cancelled = on_cancelled;
    options.credit = service->max_requests;
    options.trouble = trouble_note;
    options.trouble_arg = &service->trouble;
    if (client->stop)
        opening->ret_status = MCPBUS_ERR_CLOSED;
    else if (client->service_count >= SERVICES_MAX)
        opening->ret_status = MCPBUS_ERR_OVERLOADED;
    else
        opening->ret_status = status_of(bus_new(client->loop, &options, &service->bus));
    if (opening->ret_status)
        return;
    bus_on_peers(service->bus, on_peers, service);
    memcpy(service->instance, bus_instance_text(service->bus), sizeof service->instance);
    service->next = client->services;
    client->services = service;
    client->service_count++;
}

enum mcpbus_status mcpbus_serve(struct mcpbus *client, const struct mcpbus_service_options *given,
                                struct mcpbus_service **ret_service, struct mcpbus_error *error)
{
    struct mcpbus_service_options options = {0};
    if (!client_is_here(client))
        return fail_plainly(error, MCPBUS_ERR_MISUSE);
    enum mcpbus_status status = read_options(given, &options, error);
    if (status)
        return status;
    if (!has_descriptors(DESCRIPTORS * (1 + (int)brokers_count(client->brokers))))
        return fail(error, MCPBUS_ERR_SYSTEM, "no file descriptors left");
    struct opening opening = {.service = service_new(client, &options)};
    if (!client_ask(client, &opening.question, run_open))
        opening.ret_status = MCPBUS_ERR_CLOSED;
    if (opening.ret_status) {
        service_release(opening.service);
        return fail(error, opening.ret_status, "%s",
                    opening.ret_status == MCPBUS_ERR_DENIED
                        ? opening.why
                        : mcpbus_status_text(opening.ret_status));
    }
    *ret_service = opening.service;
    return succeed(error);
}

void mcpbus_service_instance(struct mcpbus_service *service,
                             char ret_instance[MCPBUS_INSTANCE_SIZE])
{
    memcpy(ret_instance, service->instance, MCPBUS_INSTANCE_SIZE);
}

/* ---- is it served? ------------------------------------------------------------------------- */

static void look_served(struct mcpbus *client, struct command *command)
{
    enum { PEERS_MAX = 4096 };
    struct state_question *state = (struct state_question *)command;
    const struct mcpbus_service *service = state->of;
    state->ret_status = MCPBUS_ERR_CANCELLED;
    if (client->stop || !service->bus)
        return;
    trouble_tell(client, service->bus, &service->trouble, state);
    AUTOFREE uint64_t *peers = mem_alloc(PEERS_MAX * sizeof *peers);
    size_t count = bus_peers(service->bus, service->name, peers, PEERS_MAX);
    for (size_t i = 0; i < count; i++)
        if (peers[i] == bus_instance(service->bus))
            state->ret_status = MCPBUS_OK;
}

enum mcpbus_status mcpbus_service_wait(struct mcpbus_service *service, int64_t timeout_ms,
                                       struct mcpbus_error *error)
{
    enum mcpbus_status status = client_may_wait(service->client, error);
    if (status)
        return status;
    atomic_fetch_add(&service->users, 1);
    status = client_wait(service->client, look_served, service, timeout_ms, error);
    service_release(service);
    return status;
}

/* ---- closing ------------------------------------------------------------------------------- */

static bool is_idle(const struct mcpbus_service *service)
{
    return bus_active(service->bus) == 0 && map_count(service->requests) == 0 &&
           map_count(service->one_way) == 0;
}

/* The bus can't end within a turn of its loop. */
static void look_for_end(void *arg)
{
    struct mcpbus_service *service = arg;
    if (!is_idle(service) && clock_now() < service->end) {
        loop_timer_start(service->ends, LOOK_MS);
        return;
    }
    service->over = true;
    loop_stop(service->client->loop);
}

static void tell_closer(struct mcpbus_service *service, enum mcpbus_status status)
{
    struct closer *closer = service->closer;
    if (!closer)
        return;
    pthread_mutex_lock(&service->client->lock);
    closer->ret_status = status;
    closer->question.done = true;
    pthread_cond_signal(&closer->question.answered);
    pthread_mutex_unlock(&service->client->lock);
}

static void service_end(struct mcpbus_service *service)
{
    bool idle = is_idle(service);
    loop_timer_destroy(&service->ends);
    requests_detach(service);
    bus_destroy(&service->bus);
    tell_closer(service, idle ? MCPBUS_OK : MCPBUS_ERR_TIMEOUT);
    service->client->service_count--;
    service_release(service);
}

static struct mcpbus_service *take_over_one(struct mcpbus *client)
{
    struct mcpbus_service **at = &client->services;
    while (*at && !(*at)->over)
        at = &(*at)->next;
    struct mcpbus_service *service = *at;
    if (service)
        *at = service->next;
    return service;
}

/* From the beginning each time: the end of a bus runs the loop, and the list may change there. */
void services_reap(struct mcpbus *client)
{
    struct mcpbus_service *service = NULL;
    while ((service = take_over_one(client)))
        service_end(service);
}

static bool all_idle(void *arg)
{
    const struct mcpbus *client = arg;
    for (const struct mcpbus_service *one = client->services; one; one = one->next)
        if (!is_idle(one))
            return false;
    return true;
}

void services_drain_all(struct mcpbus *client)
{
    for (struct mcpbus_service *one = client->services; one; one = one->next)
        bus_drain(one->bus);
    loop_run_through(client->loop, all_idle, client, CLOSE_MS);
}

void services_end_all(struct mcpbus *client)
{
    for (struct mcpbus_service *one = client->services; one; one = one->next)
        one->over = true;
    services_reap(client);
}

void services_add_backlog(struct mcpbus *client, size_t *messages, size_t *bytes)
{
    for (const struct mcpbus_service *one = client->services; one; one = one->next) {
        size_t its_messages = 0, its_bytes = 0;
        if (one->bus)
            bus_backlog(one->bus, &its_messages, &its_bytes);
        *messages = its_messages > *messages ? its_messages : *messages;
        *bytes = its_bytes > *bytes ? its_bytes : *bytes;
    }
}

static void run_close(struct mcpbus *client, struct command *command)
{
    struct closer *closer = (struct closer *)command;
    struct mcpbus_service *service = closer->service;
    service->closer = closer;
    if (service->over) { /* the client is ending it, and tells; or has ended it */
        if (!service->bus)
            tell_closer(service, MCPBUS_ERR_CANCELLED);
        return;
    }
    service->end = deadline_in(closer->timeout_ms);
    service->ends = loop_timer_new(client->loop, look_for_end, service);
    bus_drain(service->bus);
    loop_timer_start(service->ends, 0);
}

enum mcpbus_status mcpbus_service_close(struct mcpbus_service **service_p, int64_t timeout_ms)
{
    struct mcpbus_service *service = service_p ? *service_p : NULL;
    if (!service)
        return MCPBUS_OK;
    struct mcpbus *client = service->client;
    enum mcpbus_status status = client_may_wait(client, NULL);
    if (status)
        return status;
    *service_p = NULL;
    struct closer closer = {.service = service,
                            .timeout_ms = timeout_ms,
                            .question.command.run = run_close,
                            .ret_status = MCPBUS_ERR_CANCELLED};
    atomic_fetch_add(&service->users, 1);
    client_hold(client);
    cond_init(&closer.question.answered);
    bool taken = client_push(client, &closer.question.command);
    pthread_mutex_lock(&client->lock);
    while (taken && !closer.question.done)
        pthread_cond_wait(&closer.question.answered, &client->lock);
    pthread_mutex_unlock(&client->lock);
    pthread_cond_destroy(&closer.question.answered);
    service_release(service);
    client_release(client);
    return closer.ret_status;
}
