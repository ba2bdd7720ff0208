#include "services/worker/run_trace.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/metrics.h"

enum {
    REQUEST_ID_MAX = 128,
    ID_MAX = 128,
    SERVER_MAX = 64,
    SERVERS_MAX = 64, /* in metrics; a run's process says the names */
    OUTCOMES = 6,
    MODEL_MAX = 128,
    CALL_MS_MAX = 24 * 3600 * 1000,
    TOKENS_MAX = 1 << 30, /* of one answer */
};

struct run_trace_call {
    char id[ID_MAX + 1], server[SERVER_MAX + 1];
    struct span span;
};

static char *bounded(const json_t *object, const char *key, size_t max)
{
    const char *text = js_str(object, key, "");
    return *text && strlen(text) <= max ? mem_strdup(text) : NULL;
}

void run_trace_begin(struct run_trace *trace, const json_t *run)
{
    struct trace parent = {.sampled = false};
    const char *state = js_str(run, "tracestate", NULL);
    *trace = (struct run_trace){.request_id = bounded(run, "request_id", REQUEST_ID_MAX)};
    trace->told = trace_parse(js_str(run, "traceparent", NULL), &parent);
    if (!trace->told && !trace_from_request_id(trace->request_id, &parent))
        parent.sampled = false;
    if (trace->told && trace_state_is_good(state))
        trace->state = mem_strdup(state);
    trace_id_format(&parent, trace->trace_id);
    trace->span = span_begin(&parent);
    trace->started_us = metric_now_us();
}

void run_trace_fini(struct run_trace *trace)
{
    free(trace->request_id);
    free(trace->state);
    free(trace->model_name);
    free(trace->calls);
    *trace = (struct run_trace){.request_id = NULL};
}

static void note_duration(const struct run_trace *trace, const char *outcome)
{
    static const char *const outcomes[OUTCOMES] = {"completed", "failed",  "retry",
                                                   "released",  "waiting", "taken"};
    static struct metric *metrics[OUTCOMES];
    char labels[32];
    size_t i = 0;
    while (i < OUTCOMES - 1 && strcmp(outcome, outcomes[i]) != 0)
        i++;
    if (!metrics[i]) {
        snprintf(labels, sizeof labels, "outcome=\"%s\"", outcomes[i]);
        metrics[i] = metric_histogram("mcpbus_worker_run_duration_seconds", labels,
                                      "Attempts from their coming to their outcome.");
    }
    metric_observe_since(metrics[i], trace->started_us);
}

void run_trace_first_word(struct run_trace *trace)
{
    if (!trace->forked_us)
        return;
    metric_observe_since(metric_histogram("mcpbus_worker_run_start_seconds", NULL,
                                          "From the start of a run's process to its first word."),
                         trace->forked_us);
    trace->forked_us = 0;
}

/* What is still open when the run ends never came back. */
static void end_open(struct run_trace *trace)
{
    static const char why[] = "the run ended before it";
    if (span_is_on(&trace->model))
        span_end(&trace->model, "chat", SPAN_CLIENT, why,
                 SPAN_ATTRS(SPAN_S("gen_ai.operation.name", "chat"),
                            SPAN_S("gen_ai.request.model", trace->model_name)));
    for (size_t i = 0; i < trace->call_count; i++)
        span_end(&trace->calls[i].span, "execute_tool", SPAN_CLIENT, why,
                 SPAN_ATTRS(SPAN_S("gen_ai.operation.name", "execute_tool"),
                            SPAN_S("mcpbus.mcp.server", trace->calls[i].server),
                            SPAN_S("gen_ai.tool.call.id", trace->calls[i].id)));
    trace->call_count = 0;
    trace->model.start_us = 0;
}

void run_trace_end(struct run_trace *trace, const char *job_id, int64_t attempt,
                   const char *outcome)
{
    bool failed = strcmp(outcome, "completed") != 0 && strcmp(outcome, "waiting") != 0;
    note_duration(trace, outcome);
    end_open(trace);
    if (span_is_on(&trace->span))
        span_end(&trace->span, "process jobs", SPAN_CONSUMER, failed ? outcome : NULL,
                 SPAN_ATTRS(SPAN_S("messaging.system", "mcpbus"),
                            SPAN_S("messaging.operation.name", "process"),
                            SPAN_S("messaging.operation.type", "process"),
                            SPAN_S("messaging.destination.name", "jobs"),
                            SPAN_S("messaging.message.id", job_id),
                            SPAN_S("gen_ai.operation.name", "invoke_agent"),
                            SPAN_I("mcpbus.job.attempt", attempt),
                            SPAN_S("mcpbus.job.outcome", outcome),
                            SPAN_S("error.type", failed ? outcome : NULL),
                            SPAN_S("mcpbus.request_id", trace->request_id)));
    trace->span.start_us = 0;
}

static void set_context(json_t *object, const struct run_trace *trace, const struct trace *context)
{
    char parent[TRACE_PARENT_SIZE];
    trace_format(context, parent);
    json_object_set_new(object, "traceparent", json_string(parent));
    if (trace->state)
        json_object_set_new(object, "tracestate", json_string(trace->state));
}

json_t *run_trace_job(const struct run_trace *trace)
{
    if (!trace->told)
        return NULL;
    json_t *context = json_object();
    set_context(context, trace, &trace->span.trace);
    return context;
}

/* ---- the model ---------------------------------------------------------------------------- */

void run_trace_ask(struct run_trace *trace, json_t *frame, const char *default_model)
{
    json_object_del(frame, "traceparent"); /* the run's process has no say in it */
    json_object_del(frame, "tracestate");
    trace->model = span_begin(&trace->span.trace);
    trace->model_us = metric_now_us();
    if (trace->told)
        set_context(frame, trace, &trace->model.trace);
    if (!span_is_on(&trace->model))
        return;
    const char *name = js_str(frame, "model", default_model ? default_model : "");
    free(trace->model_name);
    trace->model_name = mem_strndup(name, strnlen(name, MODEL_MAX));
}

/* Endpoints and processes of runs may say any number. */
static int64_t bounded_int(const json_t *object, const char *key, int64_t max)
{
    int64_t n = js_int(object, key, 0);
    return n < 0 ? 0 : n > max ? max : n;
}

static void count_tokens(const json_t *usage)
{
    static const char help[] = "Tokens that the model has read and written.";
    static struct metric *input, *output;
    if (!input) {
        input = metric_counter("mcpbus_model_tokens_total", "direction=\"input\"", help);
        output = metric_counter("mcpbus_model_tokens_total", "direction=\"output\"", help);
    }
    metric_add(input, bounded_int(usage, "input_tokens", TOKENS_MAX));
    metric_add(output, bounded_int(usage, "output_tokens", TOKENS_MAX));
}

static struct metric *model_metric(bool good)
{
    return metric_histogram("mcpbus_model_call_duration_seconds",
                            good ? "outcome=\"answered\"" : "outcome=\"failed\"",
                            "Questions to the model, waiting and tries included.");
}

static void end_model_span(struct run_trace *trace, const json_t *answer, const char *error)
{
    char name[MODEL_MAX + 8];
    const json_t *usage = json_object_get(answer, "usage");
    snprintf(name, sizeof name, "chat %s", trace->model_name);
    span_end(&trace->model, name, SPAN_CLIENT, error,
             SPAN_ATTRS(
                 SPAN_S("gen_ai.operation.name", "chat"), SPAN_S("gen_ai.provider.name", "openai"),
                 SPAN_S("gen_ai.request.model", trace->model_name),
                 SPAN_S("gen_ai.response.model", js_str(answer, "model", NULL)),
                 SPAN_S("gen_ai.response.finish_reason", js_str(answer, "finish_reason", NULL)),
                 SPAN_I("gen_ai.usage.input_tokens", js_int(usage, "input_tokens", 0)),
                 SPAN_I("gen_ai.usage.output_tokens", js_int(usage, "output_tokens", 0)),
                 SPAN_S("error.type", error)));
    trace->model.start_us = 0;
}

void run_trace_answer(struct run_trace *trace, const char *job_id, const json_t *answer)
{
    const char *code = js_str(answer, "code", "");
    const char *error = json_object_get(answer, "error") ? *code ? code : "error" : NULL;
    metric_observe_since(model_metric(!error), trace->model_us);
    count_tokens(json_object_get(answer, "usage"));
    if (span_is_on(&trace->model))
        end_model_span(trace, answer, error);
    log_debug("model_answered", LOG_S("job_id", job_id), RUN_TRACE_FIELDS(trace),
              LOG_S("error", error), LOG_I("us", metric_now_us() - trace->model_us));
}

/* ---- tools -------------------------------------------------------------------------------- */

static void begin_call(struct run_trace *trace, const json_t *data)
{
    const char *id = js_str(data, "id", "");
    if (trace->call_count == RUN_TRACE_CALLS_MAX || !*id || strlen(id) > ID_MAX)
        return;
    if (!trace->calls)
        trace->calls = mem_alloc(RUN_TRACE_CALLS_MAX * sizeof *trace->calls);
    struct run_trace_call *call = &trace->calls[trace->call_count++];
    snprintf(call->id, sizeof call->id, "%s", id);
    snprintf(call->server, sizeof call->server, "%.*s", SERVER_MAX, js_str(data, "server", ""));
    call->span = span_begin_named(&trace->span.trace, id);
}

/* A label's value has nothing to escape, and there are few of them. */
static const char *server_label(const char *server)
{
    static char known[SERVERS_MAX][SERVER_MAX + 1];
    static size_t count;
    bool plain = *server;
    for (const char *c = server; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("._-", *c));
    for (size_t i = 0; plain && i < count; i++)
        if (strcmp(known[i], server) == 0)
            return known[i];
    if (!plain || count == SERVERS_MAX)
        return "other";
    snprintf(known[count], sizeof known[count], "%s", server);
    return known[count++];
}

static void observe_tool(const char *server, bool is_error, int64_t ms)
{
    char labels[2 * SERVER_MAX];
    snprintf(labels, sizeof labels, "server=\"%.*s\"", SERVER_MAX, server_label(server));
    metric_observe_ms(metric_histogram("mcpbus_tool_call_duration_seconds", labels,
                                       "Tool calls by server, of the servers that are configured."),
                      (double)ms);
    if (is_error)
        metric_add(metric_counter("mcpbus_tool_call_failures_total", labels,
                                  "Tool calls that ended with an error, by server."),
                   1);
}

static void end_call(struct run_trace *trace, const char *job_id, const json_t *data)
{
    const char *id = js_str(data, "id", ""), *tool = js_str(data, "name", "");
    bool is_error = js_bool(data, "is_error", false);
    int64_t ms = bounded_int(data, "duration_ms", CALL_MS_MAX);
    char name[ID_MAX + 16];
    size_t i = 0;
    while (i < trace->call_count && strcmp(trace->calls[i].id, id) != 0)
        i++;
    if (i == trace->call_count)
        return;
    struct run_trace_call *call = &trace->calls[i];
    observe_tool(call->server, is_error, ms);
    snprintf(name, sizeof name, "execute_tool %.*s", ID_MAX, tool);
    span_end_at(&call->span, name, SPAN_CLIENT, is_error ? "tool_error" : NULL,
                SPAN_ATTRS(SPAN_S("gen_ai.operation.name", "execute_tool"),
                           SPAN_S("gen_ai.tool.name", tool), SPAN_S("gen_ai.tool.call.id", id),
                           SPAN_S("gen_ai.tool.type", "extension"),
                           SPAN_S("mcp.method.name", "tools/call"),
                           SPAN_S("mcpbus.mcp.server", call->server),
                           SPAN_S("error.type", is_error ? "tool_error" : NULL)),
                call->span.start_us + ms * 1000);
    log_debug("tool_called", LOG_S("job_id", job_id), RUN_TRACE_FIELDS(trace), LOG_S("tool", tool),
              LOG_S("server", call->server), LOG_I("is_error", is_error), LOG_I("ms", ms));
    *call = trace->calls[--trace->call_count];
}

void run_trace_event(struct run_trace *trace, const char *job_id, const char *type,
                     const json_t *data)
{
    if (strcmp(type, "tool_call") == 0)
        begin_call(trace, data);
    else if (strcmp(type, "tool_result") == 0)
        end_call(trace, job_id, data);
}
