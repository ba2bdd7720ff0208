/* Calls of every kind.
 *
 *     ./client call weather.now '{"city": "Oslo"}'   one call, and its answer
 *     ./client many weather.now '{"city": "Oslo"}' 5000   so many, a hundred under way at once
 *     ./client stream weather.watch '{"every_ms": 100}' 3   the first three parts, then no more
 *     ./client job USER_ID JOB_ID                    a job's events as they happen, to its end
 *
 * with BROKER_ENDPOINT, BUS_KEYS and BUS_KEY in the environment. */
#include <inttypes.h>
#include <jansson.h>
#include <mcpbus/mcpbus.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { UNDER_WAY = 100 };

static int complain(const struct mcpbus_error *error)
{
    fprintf(stderr, "client: %s: %s%s\n", mcpbus_status_name(error->status), error->detail,
            error->retry ? " (a repetition may help)" : "");
    return 1;
}

static int call(struct mcpbus *client, const char *method, const char *body)
{
    struct mcpbus_error error;
    struct mcpbus_call_options options = {.size = sizeof options, .timeout_ms = 10000};
    char *json = NULL;
    if (mcpbus_call(client, method, body, MCPBUS_TEXT, &options, &json, NULL, &error))
        return complain(&error);
    puts(json);
    mcpbus_free(json);
    return 0;
}

/* What the callbacks, which run on the client's thread, share with main. */
struct count {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int ended, good;
};

static void on_answer(void *arg, const struct mcpbus_answer *answer)
{
    struct count *count = arg;
    if (!answer->last)
        return;
    pthread_mutex_lock(&count->lock);
    count->ended++;
    count->good += answer->error->status == MCPBUS_OK;
    pthread_cond_signal(&count->changed);
    pthread_mutex_unlock(&count->lock);
}

/* Waits until fewer than `limit` are under way. */
static void wait_below(struct count *count, int begun, int limit)
{
    pthread_mutex_lock(&count->lock);
    while (begun - count->ended >= limit)
        pthread_cond_wait(&count->changed, &count->lock);
    pthread_mutex_unlock(&count->lock);
}

/* Calls that may be repeated outlive the loss of a replica or a broker. */
static int many(struct mcpbus *client, const char *method, const char *body, int wanted)
{
    struct count count = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    struct mcpbus_call_options options = {.size = sizeof options, .repeat = MCPBUS_REPEAT_YES};
    struct mcpbus_error error = {0};
    int begun = 0;
    while (begun < wanted && mcpbus_call_async(client, method, body, MCPBUS_TEXT, &options,
                                               on_answer, &count, NULL, &error) == MCPBUS_OK)
        wait_below(&count, ++begun, UNDER_WAY);
    wait_below(&count, begun, 1);
    printf("%d of %d\n", count.good, wanted);
    return begun < wanted ? complain(&error) : count.good < wanted;
}

static int stream(struct mcpbus *client, const char *method, const char *body, int wanted)
{
    struct mcpbus_stream *stream = NULL;
    struct mcpbus_error error;
    bool last = false;
    if (mcpbus_stream_open(client, method, body, MCPBUS_TEXT, NULL, &stream, &error))
        return complain(&error);
    while (!last && wanted-- > 0) {
        char *json = NULL;
        if (mcpbus_stream_next(stream, -1, &json, NULL, &last, &error))
            break;
        puts(json);
        fflush(stdout);
        mcpbus_free(json);
    }
    mcpbus_stream_close(&stream); /* not read to its end: the service is told */
    return error.status ? complain(&error) : 0;
}

/* Events behind number `after`; the answer says whether the job has ended. */
static json_t *events_after(struct mcpbus *client, const char *user_id, const char *job_id,
                            int64_t after, struct mcpbus_error *error)
{
    json_t *args = json_pack("{s:s, s:s, s:I, s:i}", "user_id", user_id, "job_id", job_id, "after",
                             (json_int_t)after, "limit", 100);
    char *body = json_dumps(args, JSON_COMPACT), *json = NULL;
    json_t *answer = NULL;
    if (mcpbus_call(client, "jobs.events", body, MCPBUS_TEXT, NULL, &json, NULL, error) ==
        MCPBUS_OK)
        answer = json_loads(json, 0, NULL);
    mcpbus_free(json);
    free(body);
    json_decref(args);
    return answer;
}

static int job(struct mcpbus *client, const char *user_id, const char *job_id)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    struct mcpbus_error error;
    int64_t after = 0;
    for (bool ended = false; !ended; nanosleep(&pause, NULL)) {
        json_t *answer = events_after(client, user_id, job_id, after, &error), *event;
        size_t i;
        if (!answer)
            return complain(&error);
        json_array_foreach(json_object_get(answer, "events"), i, event)
        {
            char *text = json_dumps(event, JSON_COMPACT);
            puts(text);
            free(text);
            after = json_integer_value(json_object_get(event, "seq"));
        }
        ended = json_is_true(json_object_get(answer, "ended"));
        json_decref(answer);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *security = getenv("BUS_SECURITY"), *what = argc > 3 ? argv[1] : "";
    struct mcpbus_options options = {.size = sizeof options,
                                     .brokers = getenv("BROKER_ENDPOINT"),
                                     .plain = security && strcmp(security, "plain") == 0,
                                     .keys = getenv("BUS_KEYS"),
                                     .key = getenv("BUS_KEY")};
    struct mcpbus *client = NULL;
    struct mcpbus_error error;
    int number = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 10, rc = 2;
    if (mcpbus_open(&options, &client, &error))
        return complain(&error);
    if (strcmp(what, "call") == 0)
        rc = call(client, argv[2], argv[3]);
    else if (strcmp(what, "many") == 0)
        rc = many(client, argv[2], argv[3], number);
    else if (strcmp(what, "stream") == 0)
        rc = stream(client, argv[2], argv[3], number);
    else if (strcmp(what, "job") == 0)
        rc = job(client, argv[2], argv[3]);
    else
        fputs("usage: client call|many|stream METHOD JSON [NUMBER], client job USER_ID JOB_ID\n",
              stderr);
    mcpbus_close(&client);
    return rc;
}
