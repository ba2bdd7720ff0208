/* Calls: asynchronous ones, and what waits for one. */
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcpbus/client.h"

enum { TRACEPARENT_LEN = 55 };

/* From the program's thread to the client's, which frees it with the last callback. */
struct call {
    struct command command;
    struct mcpbus *client;
    uint64_t id, bus_id;
    int64_t deadline;
    char *method;
    struct buf body;
    size_t bytes;
    bool idempotent, cancelled;
    int max_repeats;
    struct trace trace;
    const struct proto_method *described;
    mcpbus_answer_fn *done;
    void *arg;
};

/* ---- ends ---------------------------------------------------------------------------------- */

static void call_free(struct call *call)
{
    struct mcpbus *client = call->client;
    client_give_back(client, call->bytes);
    atomic_fetch_sub(&client->calls_open, 1);
    buf_fini(&call->body);
    free(call->method);
    free(call);
}

static void give(struct call *call, const struct mcpbus_answer *answer)
{
    if (call->done)
        call->done(call->arg, answer);
}

/* Ends the call. */
static void give_last(struct call *call, const struct mcpbus_error *error, const char *json,
                      size_t len)
{
    struct mcpbus_answer answer = {
        .size = sizeof answer, .last = true, .json = json, .len = len, .error = error};
    map_take(call->client->calls, &call->id, sizeof call->id);
    give(call, &answer);
    call_free(call);
}

static void end_cancelled(void *arg)
{
    struct mcpbus_error error;
    fail_plainly(&error, MCPBUS_ERR_CANCELLED);
    error.group = MCPBUS_GROUP_UNKNOWN; /* only the service's own word would say more */
    give_last(arg, &error, NULL, 0);
}

void calls_end_all(struct mcpbus *client)
{
    for (;;) {
        size_t at = 0;
        struct call *call = map_next(client->calls, &at);
        if (!call)
            return;
        loop_defer_cancel(client->loop, end_cancelled, call);
        end_cancelled(call);
    }
}

/* ---- answers ------------------------------------------------------------------------------- */

static void read_failure(const struct call *call, const struct bus_answer *from,
                         struct mcpbus_error *error)
{
    const struct mcpbus *client = call->client;
    bool alone = from->error == ERR_TIMEOUT && client->bus && !bus_connected(client->bus);
    const char *trouble = alone ? client->trouble.text : "";
    fail(error, status_of(from->error), "%s%s%s%s", from->detail,
         alone ? ": no broker is connected" : "", *trouble ? ": " : "", trouble);
    error->retry_after_ms = from->retry_after_ms;
    error->retry |= error->group == MCPBUS_GROUP_UNKNOWN && call->idempotent;
}

/* What others send is not believed: it has to be an object that fits the method. A copy with a NUL,
 * or NULL. */
static char *read_body(const struct call *call, const struct bus_answer *from, size_t *ret_len)
{
    const char *text = from->text_len ? from->text : "{}";
    size_t len = from->text_len ? from->text_len : 2;
    AUTOJSON json_t *value = NULL;
    char why[PROTO_WHY_SIZE];
    if (js_parse(text, len, &value, NULL) != ERR_OK || !json_is_object(value))
        return NULL;
    if (from->last && call->described && proto_check(call->described->result, value, why) != ERR_OK)
        return NULL;
    *ret_len = len;
    return copy_text(text, len);
}

static void on_good_answer(struct call *call, const struct bus_answer *from)
{
    struct mcpbus_error error;
    size_t len = 0;
    AUTOFREE char *json = read_body(call, from, &len);
    if (json)
        succeed(&error);
    else
        fail(&error, MCPBUS_ERR_UPSTREAM, "the service's answer is malformed");
    if (from->last)
        give_last(call, &error, json, len);
    else if (json)
        give(call,
             &(struct mcpbus_answer){
                 .size = sizeof(struct mcpbus_answer), .json = json, .len = len, .error = &error});
}

static void on_answer(void *arg, const struct bus_answer *from)
{
    struct call *call = arg;
    struct mcpbus_error error;
    if (from->error == ERR_OK) {
        on_good_answer(call, from);
        return;
    }
    read_failure(call, from, &error);
    if (from->last)
        give_last(call, &error, NULL, 0);
}

/* ---- begin --------------------------------------------------------------------------------- */

static void run_call(struct mcpbus *client, struct command *command)
{
    struct call *call = (struct call *)command;
    if (client->closing) {
        end_cancelled(call);
        return;
    }
    struct bus_request request = {.method = call->method,
                                  .text = &call->body,
                                  .timeout_ms = call->deadline - clock_now(),
                                  .idempotent = call->idempotent,
                                  .max_repeats = call->max_repeats,
                                  .trace = &call->trace,
                                  .raw = true};
    map_put(client->calls, &call->id, sizeof call->id, call);
    call->bus_id = bus_call(client->bus, request, on_answer, call);
}

static bool hex_bytes(const char *text, size_t count, uint8_t *ret_bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 2 * count; i++) {
        const char *found = text[i] ? strchr(digits, text[i]) : NULL;
        if (!found)
            return false;
        ret_bytes[i / 2] = (uint8_t)(ret_bytes[i / 2] << 4 | (uint8_t)(found - digits));
    }
    return true;
}

/* W3C Trace Context, 3.2: version 00. */
static bool read_trace(const char *text, struct trace *ret_trace)
{
    struct trace trace = {0};
    uint8_t flags = 0;
    if (strnlen(text, TRACEPARENT_LEN + 1) != TRACEPARENT_LEN || memcmp(text, "00-", 3) != 0 ||
        text[35] != '-' || text[52] != '-' || !hex_bytes(text + 3, 16, trace.trace_id) ||
        !hex_bytes(text + 36, 8, trace.span_id) || !hex_bytes(text + 53, 1, &flags))
        return false;
    *ret_trace = trace;
    return true;
}

void call_options_read(const struct mcpbus_call_options *given, struct mcpbus_call_options *ret)
{
    memset(ret, 0, sizeof *ret);
    if (given)
        memcpy(ret, given, given->size < sizeof *ret ? given->size : sizeof *ret);
}

static bool is_idempotent(const struct call *call, enum mcpbus_repeat repeat)
{
    if (repeat == MCPBUS_REPEAT_KNOWN)
        return call->described && call->described->idempotent;
    return repeat == MCPBUS_REPEAT_YES;
}

static enum mcpbus_status read_method(const char *method, bool to_all, struct proto_target *ret,
                                      struct mcpbus_error *error)
{
    if (!method || proto_target_parse(method, strnlen(method, PROTO_METHOD_MAX_BYTES + 1), ret) ||
        (ret->reach == PROTO_ALL && !to_all))
        return fail(error, MCPBUS_ERR_INVALID, "a method is named service.method");
    return MCPBUS_OK;
}

/* What the options say, checked, into the call. */
static enum mcpbus_status read_options(struct call *call, const char *method,
                                       const struct mcpbus_call_options *given,
                                       struct mcpbus_error *error)
{
    struct mcpbus_call_options options;
    struct proto_target target;
    if (given && !given->size)
        return fail(error, MCPBUS_ERR_INVALID, "options: size is not set");
    call_options_read(given, &options);
    enum mcpbus_status status = read_method(method, false, &target, error);
    if (status)
        return status;
    if (options.timeout_ms < 0 || options.timeout_ms > PROTO_TTL_MAX_MS)
        return fail(error, MCPBUS_ERR_INVALID, "options: timeout_ms is 0 to 3600000");
    if (options.traceparent && !read_trace(options.traceparent, &call->trace))
        return fail(error, MCPBUS_ERR_INVALID, "options: traceparent is malformed");
    call->described = proto_method_find(target.service, target.method);
    call->idempotent = is_idempotent(call, options.repeat);
    call->max_repeats = options.max_repeats;
    call->deadline =
        deadline_in(options.timeout_ms ? options.timeout_ms : call->client->timeout_ms);
    return MCPBUS_OK;
}

static enum mcpbus_status take_place(struct call *call, size_t len, struct mcpbus_error *error)
{
    struct mcpbus *client = call->client;
    if (atomic_fetch_add(&client->calls_open, 1) >= client->max_calls)
        return fail(error, MCPBUS_ERR_OVERLOADED, "max_calls of this client are under way");
    if (client_on_thread(client) && client->closing) /* else a callback could call for ever */
        return fail_plainly(error, MCPBUS_ERR_CLOSED);
    if (!client_take_room(client, len))
        return fail(error, MCPBUS_ERR_OVERLOADED, "max_bytes of this client are under way");
    call->bytes = len;
    return MCPBUS_OK;
}

/* `call` has the client and who is to be called back. It is consumed. */
static enum mcpbus_status begin(struct call *call, const char *json, size_t len, uint64_t *ret_id,
                                struct mcpbus_error *error)
{
    enum mcpbus_status status = take_place(call, len, error);
    if (!status) {
        buf_init(&call->body, MCPBUS_BODY_MAX);
        buf_add(&call->body, json, len);
        call->id = atomic_fetch_add(&call->client->next_id, 1) + 1;
        if (ret_id)
            *ret_id = call->id;
        succeed(error); /* before the callback: the error may be gone then */
        if (!client_push(call->client, &call->command))
            status = fail_plainly(error, MCPBUS_ERR_CLOSED);
    }
    if (status)
        call_free(call);
    return status;
}

enum mcpbus_status mcpbus_call_async(struct mcpbus *client, const char *method, const char *json,
                                     size_t len, const struct mcpbus_call_options *options,
                                     mcpbus_answer_fn *done, void *arg, uint64_t *ret_id,
                                     struct mcpbus_error *error)
{
    if (!client_is_here(client))
        return fail_plainly(error, MCPBUS_ERR_MISUSE);
    struct call about = {.command.run = run_call, .client = client, .done = done, .arg = arg};
    enum mcpbus_status status = read_options(&about, method, options, error);
    if (!status)
        status = check_json(&json, &len, error);
    if (status)
        return status;
    struct call *call = mem_alloc(sizeof *call);
    *call = about;
    call->method = mem_strdup(method);
    return begin(call, json, len, ret_id, error);
}

/* ---- cancelling ---------------------------------------------------------------------------- */

struct cancel {
    struct question question;
    uint64_t id;
};

/* The callback comes later, also when it is a callback that cancels. */
static void run_cancel(struct mcpbus *client, struct command *command)
{
    const struct cancel *cancel = (struct cancel *)command;
    struct call *call = map_get(client->calls, &cancel->id, sizeof cancel->id);
    if (!call || call->cancelled || client->closing)
        return;
    call->cancelled = true;
    bus_cancel(client->bus, call->bus_id);
    loop_defer(client->loop, end_cancelled, call);
}

void mcpbus_cancel(struct mcpbus *client, uint64_t id)
{
    struct cancel cancel = {.id = id};
    if (client_is_here(client) && !client_ask(client, &cancel.question, run_cancel))
        return; /* all calls have ended with the client */
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct waiter {
    struct mcpbus *client;
    pthread_cond_t answered;
    bool done;
    char *json;
    size_t len;
    struct mcpbus_error error;
};

static void on_waiters_answer(void *arg, const struct mcpbus_answer *answer)
{
    struct waiter *waiter = arg;
    if (!answer->last)
        return;
    char *json = answer->json ? copy_text(answer->json, answer->len) : NULL;
    pthread_mutex_lock(&waiter->client->lock);
    waiter->json = json;
    waiter->len = answer->len;
    waiter->error = *answer->error;
    waiter->done = true;
    pthread_cond_signal(&waiter->answered);
    pthread_mutex_unlock(&waiter->client->lock);
}

static void await(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->client->lock);
    while (!waiter->done)
        pthread_cond_wait(&waiter->answered, &waiter->client->lock);
    pthread_mutex_unlock(&waiter->client->lock);
}

static enum mcpbus_status hand_out(struct waiter *waiter, char **ret_json, size_t *ret_len,
                                   struct mcpbus_error *error)
{
    bool good = waiter->error.status == MCPBUS_OK;
    if (error)
        *error = waiter->error;
    if (good && ret_len)
        *ret_len = waiter->len;
    if (good && ret_json)
        *ret_json = waiter->json;
    else
        free(waiter->json);
    return waiter->error.status;
}

enum mcpbus_status mcpbus_call(struct mcpbus *client, const char *method, const char *json,
                               size_t len, const struct mcpbus_call_options *options,
                               char **ret_json, size_t *ret_len, struct mcpbus_error *error)
{
    enum mcpbus_status status = client_may_wait(client, error);
    if (status)
        return status;
    struct waiter waiter = {.client = client};
    client_hold(client);
    cond_init(&waiter.answered);
    status = mcpbus_call_async(client, method, json, len, options, on_waiters_answer, &waiter, NULL,
                               error);
    if (!status) {
        await(&waiter);
        status = hand_out(&waiter, ret_json, ret_len, error);
    }
    pthread_cond_destroy(&waiter.answered);
    client_release(client);
    return status;
}

/* ---- one way ------------------------------------------------------------------------------- */

struct message {
    struct command command;
    char *method;
    struct buf body;
    size_t bytes;
};

static void message_free(struct mcpbus *client, struct message *message)
{
    client_give_back(client, message->bytes);
    buf_fini(&message->body);
    free(message->method);
    free(message);
}

static void run_message(struct mcpbus *client, struct command *command)
{
    struct message *message = (struct message *)command;
    if (!client->closing)
        bus_send_text(client->bus, message->method, &message->body);
    message_free(client, message);
}

enum mcpbus_status mcpbus_send(struct mcpbus *client, const char *method, const char *json,
                               size_t len, struct mcpbus_error *error)
{
    struct proto_target target;
    if (!client_is_here(client))
        return fail_plainly(error, MCPBUS_ERR_MISUSE);
    enum mcpbus_status status = read_method(method, true, &target, error);
    if (!status)
        status = check_json(&json, &len, error);
    if (status)
        return status;
    if (!client_take_room(client, len))
        return fail(error, MCPBUS_ERR_OVERLOADED, "max_bytes of this client are under way");
    struct message *message = mem_alloc(sizeof *message);
    *message = (struct message){.command.run = run_message, .bytes = len};
    message->method = mem_strdup(method);
    buf_init(&message->body, MCPBUS_BODY_MAX);
    buf_add(&message->body, json, len);
    if (client_push(client, &message->command))
        return succeed(error);
    message_free(client, message);
    return fail_plainly(error, MCPBUS_ERR_CLOSED);
}
