#include "services/cli/bus_session.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/output.h"

enum { CONNECT_MS = 4000, CONNECT_MAX_MS = 10000, CALL_MS = 30000, KNOWN_MS = 2000, SLICE_MS = 50 };

struct bus_session {
    struct mcpbus *client;
    int64_t timeout_ms;
    bool json; /* errors are a value on stdout, too */
    struct mcpbus_error error;
};

static volatile sig_atomic_t interrupt_count;

static void on_signal(int signo)
{
    (void)signo;
    interrupt_count++;
}

void interrupts_count(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int interrupts(void)
{
    return interrupt_count;
}

bool interrupts_pause(int known, int64_t ms)
{
    int64_t end = clock_ms() + ms, left;
    while (interrupt_count == known && (left = end - clock_ms()) > 0) {
        int64_t slice = left < SLICE_MS ? left : SLICE_MS;
        nanosleep(&(struct timespec){.tv_nsec = slice * 1000000}, NULL);
    }
    return interrupt_count == known;
}

enum mcpbus_status session_connect(const struct bus_settings *settings, const char *brokers,
                                   int64_t wait_ms, struct bus_session **ret_session,
                                   struct mcpbus_error *ret_error)
{
    AUTOFREE char *key = settings->key    ? mem_strdup(settings->key)
                         : settings->keys ? mem_printf("%s/admin.key_secret", settings->keys)
                                          : NULL;
    struct mcpbus_options options = {.size = sizeof options,
                                     .brokers = brokers,
                                     .keys = settings->plain ? NULL : settings->keys,
                                     .key = settings->plain ? NULL : key,
                                     .plain = settings->plain,
                                     .name = "mcpbus"};
    struct bus_session *session = mem_alloc(sizeof *session);
    session->timeout_ms = CALL_MS;
    enum mcpbus_status status = mcpbus_open(&options, &session->client, ret_error);
    if (!status)
        status = mcpbus_wait(session->client, NULL, wait_ms, ret_error);
    if (status)
        session_close(&session);
    else
        *ret_session = session;
    return status;
}

int64_t session_connect_ms(const struct bus_settings *settings)
{
    int64_t ms = settings->timeout_ms ? settings->timeout_ms : CONNECT_MS;
    return ms < CONNECT_MAX_MS ? ms : CONNECT_MAX_MS;
}

static void say_no_way_in(const struct bus_settings *settings, const struct mcpbus_error *error)
{
    if (settings->json)
        output_error("NO_BROKER", error->detail, true, 0);
    output_say(stderr, "mcpbus: %s: %s\n", settings->brokers, error->detail);
    if (error->status == MCPBUS_ERR_DENIED && !settings->plain)
        output_say(stderr,
                   "  Keys are those of %s%s%s. docs/keys.md tells how they are made and\n"
                   "  admitted (mcpbus help keygen); --keys and --key choose others.\n",
                   settings->keys ? settings->keys : "", settings->key ? ", the own one " : "",
                   settings->key ? settings->key : "");
    else if (error->status == MCPBUS_ERR_TIMEOUT)
        output_say(
            stderr,
            "  No broker answers there (the address is that of %s). Is one up? ./dev status, or\n"
            "  systemctl status 'mcpbus-broker*'. Elsewhere: --brokers or BROKER_ENDPOINT.\n",
            settings->origin);
}

int session_open(const struct args *args, struct bus_session **ret_session)
{
    struct bus_settings settings;
    int status = bus_settings_load(args, &settings);
    return status ? status : session_open_by(&settings, ret_session);
}

int session_open_by(const struct bus_settings *settings, struct bus_session **ret_session)
{
    struct mcpbus_error error;
    if (!settings->plain && !settings->keys && !settings->key) {
        fprintf(stderr,
                "mcpbus: no keys are set: BUS_KEYS or --keys takes the folder of certificates "
                "(mcpbus help keygen)\n");
        return CLI_USAGE;
    }
    enum mcpbus_status connected = session_connect(
        settings, settings->brokers, session_connect_ms(settings), ret_session, &error);
    if (connected) {
        say_no_way_in(settings, &error);
        return connected == MCPBUS_ERR_TIMEOUT || connected == MCPBUS_ERR_DENIED ? CLI_NO_BROKER
                                                                                 : CLI_USAGE;
    }
    (*ret_session)->json = settings->json;
    if (settings->timeout_ms)
        session_set_timeout(*ret_session, settings->timeout_ms);
    return CLI_OK;
}

void session_close(struct bus_session **session_p)
{
    struct bus_session *session = *session_p;
    if (!session)
        return;
    *session_p = NULL;
    mcpbus_close(&session->client);
    free(session);
}

void session_set_timeout(struct bus_session *session, int64_t timeout_ms)
{
    session->timeout_ms = timeout_ms < 3600000 ? timeout_ms : 3600000;
}

static enum mcpbus_status fail(struct bus_session *session, enum mcpbus_status status,
                               const char *detail)
{
    session->error = (struct mcpbus_error){.status = status};
    snprintf(session->error.detail, sizeof session->error.detail, "%s", detail);
    return status;
}

static enum mcpbus_status parse(struct bus_session *session, const char *text, size_t len,
                                json_t **ret_json)
{
    if (js_parse(text, len, ret_json, NULL) == ERR_OK)
        return MCPBUS_OK;
    return fail(session, MCPBUS_ERR_INTERNAL, "the answer is not JSON");
}

/* Reads to the end of the stream. */
static enum mcpbus_status read_answer(struct bus_session *session, struct mcpbus_stream *stream,
                                      session_part_fn *part, void *arg, json_t **ret_result)
{
    int before = interrupt_count;
    for (;;) {
        char *text = NULL;
        size_t len = 0;
        bool last = false;
        AUTOJSON json_t *json = NULL;
        enum mcpbus_status status =
            mcpbus_stream_next(stream, SLICE_MS, &text, &len, &last, &session->error);
        if (status == MCPBUS_ERR_AGAIN && interrupt_count == before)
            continue;
        if (status == MCPBUS_ERR_AGAIN)
            return fail(session, MCPBUS_ERR_CANCELLED, "interrupted");
        if (!status)
            status = parse(session, text, len, &json);
        mcpbus_free(text);
        if (!status && last)
            *ret_result = json_incref(json);
        else if (!status && part)
            part(arg, json);
        if (status || last)
            return status;
    }
}

enum mcpbus_status session_call(struct bus_session *session, const char *method, json_t *args,
                                session_part_fn *part, void *arg, json_t **ret_result)
{
    struct mcpbus_call_options options = {.size = sizeof options,
                                          .timeout_ms = session->timeout_ms};
    struct mcpbus_stream *stream = NULL;
    AUTOFREE char *text = js_dump(args);
    json_decref(args);
    enum mcpbus_status status = mcpbus_stream_open(session->client, method, text, MCPBUS_TEXT,
                                                   &options, &stream, &session->error);
    if (!status)
        status = read_answer(session, stream, part, arg, ret_result);
    mcpbus_stream_close(&stream);
    return status;
}

enum mcpbus_status session_send(struct bus_session *session, const char *method, json_t *args)
{
    AUTOFREE char *text = js_dump(args);
    AUTOFREE char *service = mem_strndup(method, strcspn(method, "@."));
    json_decref(args);
    if (mcpbus_wait(session->client, service, KNOWN_MS, NULL))
        return fail(session, MCPBUS_ERR_NO_SERVICE, "no replica of it is running");
    return mcpbus_send(session->client, method, text, MCPBUS_TEXT, &session->error);
}

const struct mcpbus_error *session_error(const struct bus_session *session)
{
    return &session->error;
}

static const char *advice(enum mcpbus_status status)
{
    switch (status) {
    case MCPBUS_ERR_DENIED:
        return "this key's role may not call it; the role admin may: --key";
    case MCPBUS_ERR_NO_SERVICE:
        return "mcpbus status shows what runs";
    case MCPBUS_ERR_OVERLOADED:
    case MCPBUS_ERR_LIMITED:
    case MCPBUS_ERR_DRAINING:
        return "it was not done; try again in a moment";
    case MCPBUS_ERR_TIMEOUT:
    case MCPBUS_ERR_PEER_LOST:
        return "it may have been done or not";
    default:
        return NULL;
    }
}

int session_fail(const struct bus_session *session, const char *what)
{
    const struct mcpbus_error *error = &session->error;
    const char *hint = advice(error->status);
    if (session->json)
        output_error(mcpbus_status_name(error->status), error->detail, error->retry,
                     error->retry_after_ms);
    output_say(stderr, "mcpbus: %s: %s: %s\n", what, mcpbus_status_name(error->status),
               error->detail);
    if (hint)
        fprintf(stderr, "  %s\n", hint);
    switch (error->status) {
    case MCPBUS_ERR_DENIED:
        return CLI_NO_BROKER;
    case MCPBUS_ERR_TIMEOUT:
    case MCPBUS_ERR_EXPIRED:
        return CLI_TIMEOUT;
    case MCPBUS_ERR_CANCELLED:
        return interrupt_count ? CLI_INTERRUPTED : CLI_FAILED;
    default:
        return CLI_FAILED;
    }
}

int session_refuse(const struct bus_session *session, const char *error, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (session->json)
        output_error(error, text, false, 0);
    output_say(stderr, "mcpbus: %s\n", text);
    return CLI_FAILED;
}

static size_t connected(const json_t *overview)
{
    size_t i, count = 0;
    json_t *broker;
    json_array_foreach(json_object_get(overview, "brokers"), i, broker) count +=
        js_bool(broker, "connected", false);
    return count;
}

json_t *session_overview(struct bus_session *session, size_t brokers, int64_t wait_ms)
{
    int64_t end = clock_ms() + wait_ms;
    json_t *known = json_object();
    for (;;) {
        json_t *now = NULL;
        char *text = mcpbus_overview(session->client);
        if (!text || js_parse(text, strlen(text), &now, NULL))
            now = json_object();
        mcpbus_free(text);
        bool same = json_equal(now, known);
        json_decref(known);
        known = now;
        if ((same && connected(known) >= brokers) || clock_ms() >= end)
            return known;
        nanosleep(&(struct timespec){.tv_nsec = SLICE_MS * 1000000L}, NULL);
    }
}
