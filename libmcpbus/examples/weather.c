/* A service of one's own: "weather", with an answer at once and a stream from a thread.
 *
 *     BROKER_ENDPOINT=tcp://127.0.0.1:5550 BUS_KEYS=keys BUS_KEY=keys/weather.key_secret ./weather
 *
 * Run as many as you like: they share the load. SIGTERM ends it without losing a request. */
#include <jansson.h>
#include <mcpbus/mcpbus.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* weather.now {"city"} → {"city", "temperature"} */
static void now(void *arg, struct mcpbus_request *request)
{
    size_t len;
    const char *text = mcpbus_request_json(request, &len);
    json_t *body = json_loadb(text, len, 0, NULL);
    const char *city = json_string_value(json_object_get(body, "city"));
    (void)arg;
    if (!city) {
        mcpbus_reply_error(&request, MCPBUS_ERR_INVALID, 0, "city: a text is wanted");
    } else {
        json_t *answer = json_pack("{s:s, s:i}", "city", city, "temperature", (int)strlen(city));
        char *json = json_dumps(answer, JSON_COMPACT);
        mcpbus_reply(&request, json, MCPBUS_TEXT);
        free(json);
        json_decref(answer);
    }
    json_decref(body);
}

/* weather.watch {"every_ms"} → parts {"day", "temperature"} for as long as somebody listens. Work
 * that takes its time is done in a thread, for a handler must not wait. */
static void *watch_thread(void *arg)
{
    struct mcpbus_request *request = arg;
    json_t *body = json_loads(mcpbus_request_json(request, NULL), 0, NULL);
    json_int_t every_ms = json_integer_value(json_object_get(body, "every_ms"));
    char part[64];
    int day = 0;
    json_decref(body);
    while (!mcpbus_request_sleep(request, every_ms > 0 ? every_ms : 1000)) {
        snprintf(part, sizeof part, "{\"day\":%d,\"temperature\":%d}", day, day % 30);
        if (mcpbus_reply_part(request, part, MCPBUS_TEXT) == MCPBUS_OK)
            day++; /* otherwise too much is on its way: this one is left out */
    }
    mcpbus_reply(&request, "{}", MCPBUS_TEXT);
    printf("nobody listens any more after %d days\n", day);
    fflush(stdout);
    return NULL;
}

static void watch(void *arg, struct mcpbus_request *request)
{
    pthread_t thread;
    (void)arg;
    if (pthread_create(&thread, NULL, watch_thread, request) == 0)
        pthread_detach(thread);
    else
        mcpbus_reply_error(&request, MCPBUS_ERR_OVERLOADED, 1000, "no thread left");
}

int main(void)
{
    static const struct mcpbus_method methods[] = {{"now", now}, {"watch", watch}};
    const char *security = getenv("BUS_SECURITY");
    struct mcpbus_options options = {.size = sizeof options,
                                     .brokers = getenv("BROKER_ENDPOINT"),
                                     .plain = security && strcmp(security, "plain") == 0,
                                     .keys = getenv("BUS_KEYS"),
                                     .key = getenv("BUS_KEY")};
    struct mcpbus_service_options about = {
        .size = sizeof about, .name = "weather", .methods = methods, .method_count = 2};
    struct mcpbus *client = NULL;
    struct mcpbus_service *service = NULL;
    struct mcpbus_error error;
    sigset_t ends;
    int signo;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* all threads: main waits for them */
    if (mcpbus_open(&options, &client, &error) || mcpbus_serve(client, &about, &service, &error) ||
        mcpbus_service_wait(service, 10000, &error)) {
        fprintf(stderr, "weather: %s: %s\n", mcpbus_status_name(error.status), error.detail);
        mcpbus_close(&client);
        return 1;
    }
    puts("serving");
    fflush(stdout);
    sigwait(&ends, &signo);
    mcpbus_service_close(&service, 5000);
    mcpbus_close(&client);
    return 0;
}
