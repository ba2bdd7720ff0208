/* Requests of callers: they come on the client's thread and are answered from any. */
#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"
#include "libmcpbus/serve.h"

/* ---- coming -------------------------------------------------------------------------------- */

static void request_free(struct mcpbus_request *request)
{
    struct mcpbus *client = request->client;
    buf_fini(&request->reply);
    free(request->detail);
    free(request->json);
    free(request);
    client_release(client);
}

static struct mcpbus_request *request_new(struct mcpbus_service *service, struct bus_call *call,
                                          const char *method, const char *text, size_t len)
{
    struct mcpbus_request *request = mem_alloc(sizeof *request);
    request->client = service->client;
    request->service = service;
    request->deadline = deadline_in(bus_call_time_left(call));
    request->json = copy_text(text, len);
    request->len = len;
    snprintf(request->method, sizeof request->method, "%s", method);
    bus_instance_format(bus_call_from(call), request->from);
    buf_init(&request->reply, MCPBUS_BODY_MAX);
    client_hold(service->client);
    return request;
}

/* A one-way request costs the brokers' credit nothing, so it is here that they are limited. */
static bool has_room(const struct mcpbus_service *service)
{
    return map_count(service->one_way) < service->max_requests;
}

void request_arrive(struct mcpbus_service *service, struct bus_call *call, size_t method,
                    const char *text, size_t len)
{
    bool wanted = bus_call_wants_answer(call);
    struct mcpbus_request *request = NULL;
    if (wanted || has_room(service))
        request = request_new(service, call, service->methods[method].name, text, len);
    if (!wanted)
        bus_reply_error(&call, ERR_CANCELLED, "one way");
    if (!request)
        return;
    request->call = call;
    if (wanted)
        map_put(service->requests, &call, sizeof call, request);
    else
        map_put(service->one_way, &request, sizeof request, request);
    service->handlers[method](service->arg, request);
}

static void detach(struct mcpbus_request *request)
{
    struct mcpbus_service *service = request->service;
    if (service && request->call)
        map_take(service->requests, &request->call, sizeof request->call);
    else if (service)
        map_take(service->one_way, &request, sizeof request);
    request->service = NULL;
    request->call = NULL;
}

void requests_detach(struct mcpbus_service *service)
{
    struct map *lists[] = {service->requests, service->one_way};
    for (size_t i = 0; i < 2; i++) {
        size_t at = 0;
        struct mcpbus_request *request = NULL;
        while ((request = map_next(lists[i], &at))) {
            atomic_store(&request->cancelled, true);
            detach(request);
        }
    }
    client_tell_change(service->client);
}

/* ---- looking ------------------------------------------------------------------------------- */

const char *mcpbus_request_method(const struct mcpbus_request *request)
{
    return request->method;
}

const char *mcpbus_request_json(const struct mcpbus_request *request, size_t *ret_len)
{
    if (ret_len)
        *ret_len = request->len;
    return request->json;
}

void mcpbus_request_from(const struct mcpbus_request *request,
                         char ret_instance[MCPBUS_INSTANCE_SIZE])
{
    memcpy(ret_instance, request->from, MCPBUS_INSTANCE_SIZE);
}

int64_t mcpbus_request_time_left(const struct mcpbus_request *request)
{
    int64_t left = request->deadline - clock_now();
    return left < 0 || atomic_load(&request->cancelled) ? 0 : left;
}

bool mcpbus_request_cancelled(const struct mcpbus_request *request)
{
    return mcpbus_request_time_left(request) == 0;
}

bool mcpbus_request_sleep(const struct mcpbus_request *request, int64_t timeout_ms)
{
    struct mcpbus *client = request->client;
    if (client_may_wait(client, NULL) != MCPBUS_OK)
        return mcpbus_request_cancelled(request);
    int64_t end = deadline_in(timeout_ms);
    end = end < request->deadline ? end : request->deadline;
    pthread_mutex_lock(&client->lock);
    while (!atomic_load(&request->cancelled) && client_sleep(client, &client->changed, end))
        ;
    pthread_mutex_unlock(&client->lock);
    return mcpbus_request_cancelled(request);
}

/* ---- answering ----------------------------------------------------------------------------- */

static void run_reply(struct mcpbus *client, struct command *command)
{
    struct mcpbus_request *request = (struct mcpbus_request *)command;
    struct bus_call *call = request->call;
    (void)client;
    detach(request);
    if (call && request->status)
        bus_reply_busy(&call, request->status, request->retry_after_ms, request->detail);
    else if (call)
        bus_reply_text(&call, &request->reply);
    request_free(request);
}

/* Behind the parts that another thread has sent. */
static enum mcpbus_status answer(struct mcpbus_request *request)
{
    struct mcpbus *client = request->client;
    bool cancelled = mcpbus_request_cancelled(request);
    request->command.run = run_reply;
    if (client_on_thread(client) && atomic_load(&request->parts_queued) == 0)
        run_reply(client, &request->command);
    else if (!client_push(client, &request->command))
        request_free(request);
    return cancelled ? MCPBUS_ERR_CANCELLED : MCPBUS_OK;
}

static void set_failure(struct mcpbus_request *request, enum err status, int64_t retry_after_ms,
                        const char *detail)
{
    request->status = status ? status : ERR_INTERNAL;
    request->retry_after_ms =
        retry_after_ms < 0 || retry_after_ms > PROTO_TTL_MAX_MS ? PROTO_TTL_MAX_MS : retry_after_ms;
    request->detail = mem_strndup(detail, strnlen(detail, MCPBUS_DETAIL_SIZE));
}

enum mcpbus_status mcpbus_reply(struct mcpbus_request **request_p, const char *json, size_t len)
{
    struct mcpbus_request *request = *request_p;
    *request_p = NULL;
    if (!client_is_here(request->client))
        return MCPBUS_ERR_MISUSE;
    enum mcpbus_status bad = check_json(&json, &len, NULL);
    if (bad)
        set_failure(request, ERR_INTERNAL, 0, "internal error");
    else
        buf_add(&request->reply, json, len);
    enum mcpbus_status status = answer(request);
    return bad ? bad : status;
}

enum mcpbus_status mcpbus_reply_error(struct mcpbus_request **request_p, enum mcpbus_status status,
                                      int64_t retry_after_ms, const char *detail)
{
    struct mcpbus_request *request = *request_p;
    *request_p = NULL;
    if (!client_is_here(request->client))
        return MCPBUS_ERR_MISUSE;
    enum err err = err_of(status);
    set_failure(request, err, retry_after_ms, detail ? detail : err_text(err));
    return answer(request);
}

struct part {
    struct command command;
    struct mcpbus_request *request;
    size_t bytes;
    struct buf body;
};

static void part_free(struct part *part)
{
    client_give_back(part->request->client, part->bytes);
    atomic_fetch_sub(&part->request->parts_queued, 1);
    buf_fini(&part->body);
    free(part);
}

static void run_part(struct mcpbus *client, struct command *command)
{
    struct part *part = (struct part *)command;
    (void)client;
    if (part->request->call)
        bus_reply_part_text(part->request->call, &part->body);
    part_free(part);
}

static void part_send(struct mcpbus_request *request, const char *json, size_t len)
{
    struct part *part = mem_alloc(sizeof *part);
    *part = (struct part){.command.run = run_part, .request = request, .bytes = len};
    buf_init(&part->body, MCPBUS_BODY_MAX);
    buf_add(&part->body, json, len);
    struct mcpbus *client = request->client;
    if (atomic_fetch_add(&request->parts_queued, 1) == 0 && client_on_thread(client))
        run_part(client, &part->command);
    else if (!client_push(client, &part->command))
        part_free(part);
}

enum mcpbus_status mcpbus_reply_part(struct mcpbus_request *request, const char *json, size_t len)
{
    if (!client_is_here(request->client))
        return MCPBUS_ERR_MISUSE;
    if (mcpbus_request_cancelled(request))
        return MCPBUS_ERR_CANCELLED;
    enum mcpbus_status status = check_json(&json, &len, NULL);
    if (status)
        return status;
    if (!client_take_room(request->client, len))
        return MCPBUS_ERR_OVERLOADED;
    part_send(request, json, len);
    return MCPBUS_OK;
}
