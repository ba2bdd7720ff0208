/* A client: its thread, the commands for it, opening and closing. */
#include "libmcpbus/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libcommon/mem.h"

enum {
    TIMEOUT_MS = 30000,
    CALLS_DEFAULT = 10000,
    CALLS_MAX = 100000,
    BROKERS_MAX = 16,
    LOOK_AGAIN_MS = 100,
    NAME_MAX_BYTES = 15, /* of a thread, by Linux */
};
#define BYTES_DEFAULT ((size_t)64 * 1024 * 1024)

/* ---- time, waiting ------------------------------------------------------------------------ */

int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t deadline_in(int64_t timeout_ms)
{
    int64_t now = clock_now();
    return timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms;
}

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool client_sleep(struct mcpbus *client, pthread_cond_t *cond, int64_t end)
{
    enum { YEAR_S = 365 * 24 * 3600 };
    int64_t now = clock_now();
    if (end <= now)
        return false;
    if (end - now > (int64_t)YEAR_S * 1000)
        end = now + (int64_t)YEAR_S * 1000;
    struct timespec until = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    pthread_cond_timedwait(cond, &client->lock, &until);
    return true;
}

void client_tell_change(void *arg)
{
    struct mcpbus *client = arg;
    pthread_mutex_lock(&client->lock);
    client->changes++;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* ---- whose client is it? ------------------------------------------------------------------- */

void client_hold(struct mcpbus *client)
{
    atomic_fetch_add(&client->users, 1);
}

void client_release(struct mcpbus *client)
{
    if (atomic_fetch_sub(&client->users, 1) > 1)
        return;
    if (client->wake_fd >= 0)
        close(client->wake_fd);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client->brokers);
    free(client->name);
    free(client->keys);
    free(client->key);
    free(client);
}

bool client_is_here(const struct mcpbus *client)
{
    return client->pid == getpid();
}

bool client_on_thread(const struct mcpbus *client)
{
    /* The number of a thread that has been joined may be another's by now. */
    return !atomic_load(&client->stopped) && pthread_equal(client->thread, pthread_self());
}

enum mcpbus_status client_may_wait(const struct mcpbus *client, struct mcpbus_error *error)
{
    if (!client_is_here(client))
        return fail(error, MCPBUS_ERR_MISUSE, "this client belongs to the process that opened it");
    if (client_on_thread(client))
        return fail(error, MCPBUS_ERR_MISUSE,
                    "a callback may not wait for its own client: it would wait for ever");
    return MCPBUS_OK;
}

/* ---- commands ------------------------------------------------------------------------------ */

static void wake(struct mcpbus *client)
{
    uint64_t one = 1;
    while (write(client->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

bool client_push(struct mcpbus *client, struct command *command)
{
    pthread_mutex_lock(&client->lock);
    bool taken = !client->stopped, first = !client->head;
    if (taken) {
        command->next = NULL;
        *client->tail = command;
        client->tail = &command->next;
        client->queued++;
    }
    pthread_mutex_unlock(&client->lock);
    if (taken && first)
        wake(client);
    return taken;
}

static size_t queued(struct mcpbus *client)
{
    pthread_mutex_lock(&client->lock);
    size_t count = client->queued;
    pthread_mutex_unlock(&client->lock);
    return count;
}

bool client_take_room(struct mcpbus *client, size_t len)
{
    size_t messages = queued(client);
    size_t backlog = atomic_load(&client->backlog_messages);
    size_t before = atomic_fetch_add(&client->bytes, len);
    if (messages < COMMANDS_MAX && backlog < BACKLOG_MAX &&
        before + len + atomic_load(&client->backlog_bytes) <= client->max_bytes)
        return true;
    atomic_fetch_sub(&client->bytes, len);
    wake(client); /* the backlog is as of the thread's last pass */
    return false;
}

void client_give_back(struct mcpbus *client, size_t len)
{
    atomic_fetch_sub(&client->bytes, len);
}

static void run_question(struct mcpbus *client, struct command *command)
{
    struct question *question = (struct question *)command;
    question->fn(client, command);
    pthread_mutex_lock(&client->lock);
    question->done = true;
    pthread_cond_signal(&question->answered);
    pthread_mutex_unlock(&client->lock);
}

bool client_ask(struct mcpbus *client, struct question *question, command_fn *fn)
{
    if (client_on_thread(client)) {
        fn(client, &question->command);
        return true;
    }
    question->command.run = run_question;
    question->fn = fn;
    question->done = false;
    cond_init(&question->answered);
    bool taken = client_push(client, &question->command);
    pthread_mutex_lock(&client->lock);
    while (taken && !question->done)
        pthread_cond_wait(&question->answered, &client->lock);
    pthread_mutex_unlock(&client->lock);
    pthread_cond_destroy(&question->answered);
    return taken;
}

enum mcpbus_status client_wait(struct mcpbus *client, command_fn *fn, void *of, int64_t timeout_ms,
                               struct mcpbus_error *error)
{
    int64_t end = deadline_in(timeout_ms);
    struct state_question state = {.of = of};
    for (;;) {
        pthread_mutex_lock(&client->lock);
        uint64_t seen = client->changes;
        pthread_mutex_unlock(&client->lock);
        *state.ret_why = '\0';
        if (!client_ask(client, &state.question, fn))
            return fail_plainly(error, MCPBUS_ERR_CANCELLED);
        if (state.ret_status == MCPBUS_OK)
            return succeed(error);
        if (state.ret_status != MCPBUS_ERR_AGAIN)
            return fail(error, state.ret_status, "%s",
                        *state.ret_why ? state.ret_why : mcpbus_status_text(state.ret_status));
        if (clock_now() >= end)
            return fail(error, MCPBUS_ERR_TIMEOUT, "not ready in time%s%s",
                        *state.ret_why ? ": " : "", state.ret_why);
        int64_t next = deadline_in(LOOK_AGAIN_MS);
        next = next < end ? next : end;
        pthread_mutex_lock(&client->lock);
        while (client->changes == seen && client_sleep(client, &client->changed, next))
            ;
        pthread_mutex_unlock(&client->lock);
    }
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void note_backlog(struct mcpbus *client)
{
    size_t messages = 0, bytes = 0;
    bus_backlog(client->bus, &messages, &bytes);
    services_add_backlog(client, &messages, &bytes);
    atomic_store(&client->backlog_messages, messages);
    atomic_store(&client->backlog_bytes, bytes);
}

static struct command *take_commands(struct mcpbus *client)
{
    pthread_mutex_lock(&client->lock);
    struct command *list = client->head;
    client->head = NULL;
    client->tail = &client->head;
    client->queued = 0;
    pthread_mutex_unlock(&client->lock);
    return list;
}

static bool run_commands(void *arg)
{
    struct mcpbus *client = arg;
    struct command *list = take_commands(client);
    bool busy = list != NULL;
    while (list) {
        struct command *command = list;
        list = command->next; /* it may be gone once it has run */
        command->run(client, command);
    }
    if (client->bus)
        note_backlog(client);
    return busy;
}

static void on_wake(void *arg, uint32_t events)
{
    struct mcpbus *client = arg;
    uint64_t count;
    (void)events;
    (void)!read(client->wake_fd, &count, sizeof count); /* the work is done in the source's turn */
}

static void on_peers(void *arg)
{
    struct mcpbus *client = arg;
    trouble_pass(&client->trouble, client->bus);
    client_tell_change(client);
}

static bool start(struct mcpbus *client)
{
    client->loop = loop_new();
    client->calls = map_new();
    trouble_init(&client->trouble);
    loop_source_add(client->loop, run_commands, client);
    loop_fd_add(client->loop, client->wake_fd, EPOLLIN, on_wake, client);
    struct bus_options options = client->bus_options;
    options.trouble = trouble_note;
    options.trouble_arg = &client->trouble;
    enum err err = bus_new(client->loop, &options, &client->bus);
    if (!err)
        bus_on_peers(client->bus, on_peers, client);
    pthread_mutex_lock(&client->lock);
    client->start_status = status_of(err);
    client->started = true;
    client->stopped = err != ERR_OK;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    return !err;
}

/* Until no command is left and none can come. */
static void run_last_commands(struct mcpbus *client)
{
    bool stopped = false;
    while (!stopped) {
        run_commands(client);
        pthread_mutex_lock(&client->lock);
        stopped = !client->head;
        atomic_store(&client->stopped, stopped);
        client->changes++;
        pthread_cond_broadcast(&client->changed);
        pthread_mutex_unlock(&client->lock);
    }
}

static void *run_client(void *arg)
{
    struct mcpbus *client = arg;
    if (start(client)) {
        while (!client->stop) {
            loop_run(client->loop);
            services_reap(client);
        }
        services_drain_all(client);
        client->closing = true;
        bus_destroy(&client->bus);
        calls_end_all(client);
        services_end_all(client);
        run_last_commands(client);
    }
    map_destroy(&client->calls);
    trouble_fini(&client->trouble);
    loop_destroy(&client->loop);
    return NULL;
}

/* Signals are the program's: they are blocked before the thread (and libzmq's, which inherit that)
 * can see one. */
static bool start_thread(struct mcpbus *client)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool good = pthread_create(&client->thread, NULL, run_client, client) == 0;
    if (good)
        pthread_setname_np(client->thread, client->name);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

bool has_descriptors(int wanted)
{
    int taken[1024], count = 0;
    while (count < wanted && count < 1024) {
        int fd = eventfd(0, EFD_CLOEXEC);
        if (fd < 0)
            break;
        taken[count++] = fd;
    }
    bool good = count == wanted;
    while (count)
        close(taken[--count]);
    return good;
}

size_t brokers_count(const char *brokers)
{
    size_t count = 1;
    for (; *brokers; brokers++)
        count += *brokers == ',';
    return count;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static struct mcpbus *client_new(const struct mcpbus_options *options)
{
    struct mcpbus *client = mem_alloc(sizeof *client);
    atomic_store(&client->users, 1);
    client->pid = getpid();
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->brokers = mem_strdup(options->brokers);
    client->name = mem_strdup(options->name ? options->name : "mcpbus");
    client->keys = mem_strdup_opt(options->keys);
    client->key = options->key    ? mem_strdup(options->key)
                  : options->keys ? mem_printf("%s/client.key_secret", options->keys)
                                  : NULL;
    client->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    client->max_calls = options->max_calls ? options->max_calls : CALLS_DEFAULT;
    client->max_bytes = options->max_bytes ? options->max_bytes : BYTES_DEFAULT;
    client->tail = &client->head;
    pthread_mutex_init(&client->lock, NULL);
    cond_init(&client->changed);
    client->bus_options = (struct bus_options){.endpoints = client->brokers,
                                               .plain = options->plain,
                                               .keys = client->keys,
                                               .key = client->key,
                                               .why = client->why};
    return client;
}

static enum mcpbus_status check_options(const struct mcpbus_options *options,
                                        struct mcpbus_error *error)
{
    if (!options->brokers || !*options->brokers)
        return fail(error, MCPBUS_ERR_INVALID, "options: brokers is missing");
    if (brokers_count(options->brokers) > BROKERS_MAX)
        return fail(error, MCPBUS_ERR_INVALID, "options: at most %d brokers", BROKERS_MAX);
    if (!options->plain && !options->keys)
        return fail(error, MCPBUS_ERR_INVALID,
                    "options: keys is missing (a folder of certificates), or plain");
    if (options->plain && (options->keys || options->key))
        return fail(error, MCPBUS_ERR_INVALID, "options: plain and keys exclude each other");
    if (options->timeout_ms < 0 || options->timeout_ms > PROTO_TTL_MAX_MS)
        return fail(error, MCPBUS_ERR_INVALID, "options: timeout_ms is 0 to 3600000");
    if (options->max_calls > CALLS_MAX)
        return fail(error, MCPBUS_ERR_INVALID, "options: max_calls is at most %d", CALLS_MAX);
    if (options->max_bytes && options->max_bytes < MCPBUS_BODY_MAX)
        return fail(error, MCPBUS_ERR_INVALID, "options: max_bytes is at least %zu",
                    MCPBUS_BODY_MAX);
    if (options->name && strlen(options->name) > NAME_MAX_BYTES)
        return fail(error, MCPBUS_ERR_INVALID, "options: name has at most %d bytes",
                    NAME_MAX_BYTES);
    return MCPBUS_OK;
}

static enum mcpbus_status wait_start(struct mcpbus *client)
{
    pthread_mutex_lock(&client->lock);
    while (!client->started)
        pthread_cond_wait(&client->changed, &client->lock);
    enum mcpbus_status status = client->start_status;
    pthread_mutex_unlock(&client->lock);
    if (status)
        pthread_join(client->thread, NULL);
    return status;
}

static enum mcpbus_status open_checked(struct mcpbus *client, struct mcpbus_error *error)
{
    int wanted = DESCRIPTORS * (1 + (int)brokers_count(client->brokers));
    if (client->wake_fd < 0 || !has_descriptors(wanted))
        return fail(error, MCPBUS_ERR_SYSTEM, "no file descriptors left");
    if (!start_thread(client))
        return fail(error, MCPBUS_ERR_SYSTEM, "no thread to be had");
    enum mcpbus_status started = wait_start(client);
    if (started == MCPBUS_ERR_DENIED)
        return fail(error, client->bus_options.plain ? MCPBUS_ERR_INVALID : MCPBUS_ERR_SYSTEM, "%s",
                    client->why);
    if (started != MCPBUS_OK)
        return fail(error, MCPBUS_ERR_INVALID, "options: brokers: tcp://HOST:PORT is wanted");
    return succeed(error);
}

/* A program's structure may be older and shorter, or newer and longer. */
static bool read_options(const struct mcpbus_options *options, struct mcpbus_options *ret_options)
{
    size_t size = options ? options->size : 0;
    if (size < offsetof(struct mcpbus_options, brokers) + sizeof options->brokers)
        return false;
    memset(ret_options, 0, sizeof *ret_options);
    memcpy(ret_options, options, size < sizeof *ret_options ? size : sizeof *ret_options);
    return true;
}

enum mcpbus_status mcpbus_open(const struct mcpbus_options *given, struct mcpbus **ret_client,
                               struct mcpbus_error *error)
{
    struct mcpbus_options options;
    if (!read_options(given, &options))
        return fail(error, MCPBUS_ERR_INVALID, "options: size is not set");
    enum mcpbus_status status = check_options(&options, error);
    if (status)
        return status;
    struct mcpbus *client = client_new(&options);
    status = open_checked(client, error);
    if (status)
        client_release(client);
    else
        *ret_client = client;
    return status;
}

static void run_stop(struct mcpbus *client, struct command *command)
{
    (void)command;
    client->stop = true;
    loop_stop(client->loop);
}

enum mcpbus_status mcpbus_close(struct mcpbus **client_p)
{
    struct mcpbus *client = client_p ? *client_p : NULL;
    if (!client)
        return MCPBUS_OK;
    if (!client_is_here(client)) {
        *client_p = NULL;
        return MCPBUS_ERR_MISUSE;
    }
    if (client_on_thread(client))
        return MCPBUS_ERR_MISUSE;
    struct command stop = {.run = run_stop};
    bool taken = client_push(client, &stop);
    if (taken)
        pthread_join(client->thread, NULL);
    *client_p = NULL;
    client_release(client);
    return MCPBUS_OK;
}
