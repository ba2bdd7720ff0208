#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/clock.h"
#include "services/worker/frames.h"
#include "services/worker/zygote.h"

#define SERVER MCPBUS_SOURCE_DIR "/tests/fixtures/mcp_server.py"

enum { WAIT_MS = 30000 };
enum { OTHERS = 8000 }; /* more ends than the socket holds */
static bool isolate;    /* the mode that the group of tests is for */

/* A worker's loop in small: the real zygote and run, a scripted model. */
struct rig {
    struct loop *loop;
    struct zygote *zygote;
    struct frame_peer *peer;
    const char *const *answers; /* JSON of the model's messages */
    size_t asked, results, others_ended;
    char result[16000]; /* of the last tool_result */
    json_t *done;
    char mark[40];                        /* in its servers' environment */
    bool tool_called, ended, lost, stuck; /* stuck: acknowledges nothing */
    bool late;                            /* acknowledges when the lease is over */
    enum zygote_end end;
};

static void on_ended(void *arg, uint64_t id, enum zygote_end end, int status)
{
    struct rig *rig = arg;
    (void)status;
    rig->others_ended += id != 7;
    if (id != 7)
        return;
    rig->ended = true;
    rig->end = end;
}

static void on_lost(void *arg)
{
    ((struct rig *)arg)->lost = true;
}

static void answer(struct rig *rig)
{
    AUTOJSON json_t *message = json_loads(rig->answers[rig->asked], 0, NULL);
    assert_non_null(message);
    if (rig->answers[rig->asked + 1])
        rig->asked++;
    AUTOJSON json_t *frame =
        json_pack("{s:s, s:O, s:{s:i, s:i, s:i}}", "t", "answer", "message", message, "usage",
                  "input_tokens", 1, "output_tokens", 2, "total_tokens", 3);
    assert_int_equal(frame_peer_send(rig->peer, frame), ERR_OK);
}

static void on_event(struct rig *rig, const json_t *frame)
{
    const char *type = js_str(frame, "type", "");
    rig->tool_called = rig->tool_called || strcmp(type, "tool_call") == 0;
    if (strcmp(type, "tool_result") == 0) {
        rig->results++;
        snprintf(rig->result, sizeof rig->result, "%s",
                 js_str(json_object_get(frame, "data"), "content", ""));
    }
    AUTOJSON json_t *ack = json_pack("{s:s, s:I}", "t", "ack", "until",
                                     (json_int_t)clock_ms() + (rig->late ? -1 : 60000));
    if (js_bool(frame, "ack", false) && !rig->stuck)
        assert_int_equal(frame_peer_send(rig->peer, ack), ERR_OK);
}

static void on_frame(void *arg, json_t *frame)
{
    struct rig *rig = arg;
    const char *t = js_str(frame, "t", "");
    if (!frame)
        frame_peer_destroy(&rig->peer);
    else if (strcmp(t, "ask") == 0)
        answer(rig);
    else if (strcmp(t, "event") == 0)
        on_event(rig, frame);
    else if (strcmp(t, "done") == 0)
        rig->done = json_incref(frame);
}

static void open_rig(struct rig *rig, const char *const *answers)
{
    static int count;
    const char *why;
    snprintf(rig->mark, sizeof rig->mark, "%d-%d", (int)getpid(), ++count);
    assert_int_equal(zygote_fork(isolate, NULL, NULL, &rig->zygote), ERR_OK);
    assert_int_equal(zygote_isolated(rig->zygote, &why), isolate);
    rig->loop = loop_new();
    rig->answers = answers;
    struct zygote_events events = {on_ended, on_lost, rig};
    zygote_attach(rig->zygote, rig->loop, &events);
}

static void start_run(struct rig *rig)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    rig->peer = frame_peer_new(rig->loop, ends[0], on_frame, rig);
    zygote_start(rig->zygote, 7, ends[1]);
    AUTOJSON json_t *job =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:[{s:s, s:s, s:[], s:{s:s, s:s}}]}", "t", "job",
                  "job_id", "j", "message", "do it", "max_turns", 5, "tool_timeout_ms", 20000,
                  "soft_ms", 60000, "servers", "name", "test", "command", SERVER, "args", "env",
                  "PATH", "/usr/bin:/bin", "TEST_MARK", rig->mark);
    assert_int_equal(frame_peer_send(rig->peer, job), ERR_OK);
}

static void close_rig(struct rig *rig)
{
    frame_peer_destroy(&rig->peer);
    zygote_destroy(&rig->zygote);
    json_decref(rig->done);
    loop_destroy(&rig->loop);
}

static bool have_all_ended(void *arg)
{
    return ((struct rig *)arg)->others_ended == OTHERS;
}

static bool is_ended(void *arg)
{
    return ((struct rig *)arg)->ended;
}

static bool has_result(void *arg)
{
    return ((struct rig *)arg)->results > 0;
}

static bool was_called(void *arg)
{
    return ((struct rig *)arg)->tool_called;
}

static bool is_lost(void *arg)
{
    return ((struct rig *)arg)->lost;
}

static bool has_died(void *arg)
{
    return kill(*(pid_t *)arg, 0) < 0 && errno == ESRCH;
}

#define CALL(name, arguments)                                                           \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":" \
    "\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}]}"
#define TEXT "{\"role\":\"assistant\",\"content\":\"all done\"}"

static const char *const add_then_text[] = {CALL("test__add", "{\\\"a\\\":2,\\\"b\\\":3}"), TEXT,
                                            NULL};
static const char *const escape_then_spin[] = {CALL("test__escape", "{}"), CALL("test__spin", "{}"),
                                               NULL};

static void a_run_calls_tools_and_completes(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_rig(&rig, add_then_text);
    zygote_lease(rig.zygote, clock_ms() + 60000);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_int_equal(rig.end, ZYGOTE_RUN_ENDED);
    assert_string_equal(rig.result, "5");
    assert_string_equal(js_str(rig.done, "outcome", ""), "completed");
    assert_string_equal(js_str(rig.done, "result", ""), "all done");
    assert_int_equal(js_int(json_object_get(rig.done, "token_usage"), "total_tokens", 0), 6);
    close_rig(&rig);
}

static void a_call_waits_for_its_record(void **state)
{
    (void)state;
    struct rig rig = {.stuck = true};
    open_rig(&rig, add_then_text);
    zygote_lease(rig.zygote, clock_ms() + 60000);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, was_called, &rig, WAIT_MS));
    assert_false(loop_run_until(rig.loop, has_result, &rig, 300));
    zygote_kill(rig.zygote, 7);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    close_rig(&rig);
}

/* What was frozen together wakes together: the zygote may come second. */
static void a_call_is_not_made_when_the_lease_is_over(void **state)
{
    (void)state;
    struct rig rig = {.late = true};
    open_rig(&rig, add_then_text);
    zygote_lease(rig.zygote, clock_ms() + 60000);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_int_equal(rig.end, ZYGOTE_RUN_ENDED);
    assert_true(rig.tool_called);
    assert_int_equal(rig.results, 0);
    assert_null(rig.done);
    close_rig(&rig);
}

static size_t read_proc(const char *pid, const char *name, char *ret_text, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(ret_text, 1, size - 1, file) : 0;
    ret_text[n] = '\0';
    if (file)
        fclose(file);
    return n;
}

/* A marked process that calls itself `inner`, whatever namespace that is said in. */
static bool is_process(const char *pid, const char *mark, pid_t inner)
{
    char text[8192], wanted[64], *at, *end;
    snprintf(wanted, sizeof wanted, "TEST_MARK=%s", mark);
    if (!memmem(text, read_proc(pid, "environ", text, sizeof text), wanted, strlen(wanted) + 1) ||
        !read_proc(pid, "status", text, sizeof text) || !(at = strstr(text, "\nNSpid:")))
        return false;
    at += strlen("\nNSpid:");
    long last = 0;
    for (long n = strtol(at, &end, 10); end != at && n > 0; n = strtol(at, &end, 10)) {
        last = n;
        at = end;
        if (*at == '\n')
            break;
    }
    return last == inner;
}

static pid_t outer_pid(const char *mark, pid_t inner)
{
    pid_t pid = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (struct dirent *entry; !pid && (entry = readdir(dir));)
        if (strtol(entry->d_name, NULL, 10) > 0 && is_process(entry->d_name, mark, inner))
            pid = (pid_t)strtol(entry->d_name, NULL, 10);
    closedir(dir);
    return pid;
}

/* Runs until a tool has left a daemon behind and another spins; the daemon's pid. */
static pid_t run_to_escape(struct rig *rig)
{
    open_rig(rig, escape_then_spin);
    zygote_lease(rig->zygote, clock_ms() + 60000);
    start_run(rig);
    assert_true(loop_run_until(rig->loop, has_result, rig, WAIT_MS));
    pid_t escaped = outer_pid(rig->mark, (pid_t)strtol(rig->result, NULL, 10));
    assert_true(escaped > 1 && kill(escaped, 0) == 0);
    return escaped;
}

/* Beside another run of the same zygote, and from beneath what is mounted. */
static void a_server_sees_what_its_mode_says(void **state)
{
    (void)state;
    static const char *const answers[] = {CALL("test__processes", "{}"), TEXT, NULL};
    struct rig rig = {0};
    int ends[2];
    open_rig(&rig, answers);
    zygote_lease(rig.zygote, clock_ms() + 60000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    zygote_start(rig.zygote, 8, ends[1]);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    AUTOFREE char *self = mem_printf(" %d ", (int)getpid());
    AUTOFREE char *seen = mem_printf(" %s ", rig.result);
    int server = 0, more = 0;
    if (isolate) /* the run and its server, whose number a sanitizer's thread may have taken */
        assert_int_equal(sscanf(rig.result, "1 %d %d", &server, &more), 1);
    else
        assert_non_null(strstr(seen, self));
    close(ends[0]);
    close_rig(&rig);
}

static void killing_a_run_takes_its_daemons_along(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    zygote_kill(rig.zygote, 7);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_true(loop_run_until(rig.loop, has_died, &escaped, WAIT_MS));
    close_rig(&rig);
}

static void runs_end_with_the_lease(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    zygote_lease(rig.zygote, clock_ms() + 1500);
    assert_false(loop_run_until(rig.loop, is_ended, &rig, 150));
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_int_equal(rig.end, ZYGOTE_RUN_EXPIRED);
    assert_true(loop_run_until(rig.loop, has_died, &escaped, WAIT_MS));
    close_rig(&rig);
}

static void without_a_lease_nothing_starts(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_rig(&rig, add_then_text);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_int_equal(rig.end, ZYGOTE_RUN_EXPIRED);
    close_rig(&rig);
}

static void everything_ends_with_the_worker(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    close_rig(&rig);
    assert_true(has_died(&escaped));
}

struct zygote_pid {
    pid_t pid; /* first member of struct zygote */
};

static void a_killed_zygote_leaves_nothing(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    kill(((struct zygote_pid *)(void *)rig.zygote)->pid, SIGKILL);
    assert_true(loop_run_until(rig.loop, is_lost, &rig, WAIT_MS));
    assert_true(has_died(&escaped));
    close_rig(&rig);
}

static bool has_died_reaped(void *arg)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return has_died(arg);
}

static void a_killed_worker_leaves_nothing(void **state)
{
    (void)state;
    int told[2];
    pid_t escaped = 0;
    assert_int_equal(pipe(told), 0);
    pid_t worker = fork();
    if (worker == 0) {
        struct rig rig = {0};
        alarm(60);
        escaped = run_to_escape(&rig);
        _exit(write(told[1], &escaped, sizeof escaped) == sizeof escaped ? (pause(), 0) : 1);
    }
    close(told[1]);
    assert_int_equal(read(told[0], &escaped, sizeof escaped), sizeof escaped);
    close(told[0]);
    struct loop *loop = loop_new();
    kill(worker, SIGKILL);
    assert_true(loop_run_until(loop, has_died_reaped, &escaped, WAIT_MS));
    loop_destroy(&loop);
}

/* Ends that a frozen loop doesn't take must not keep the zygote from its clock. */
static void ends_that_wait_do_not_stop_the_lease(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    zygote_lease(rig.zygote, clock_ms() + 500);
    for (uint64_t id = 100; id < 100 + OTHERS; id++) {
        zygote_start(rig.zygote, id, -1);
        if (id % 100 == 0)
            usleep(1000);
    }
    int64_t until = clock_ms() + WAIT_MS;
    while (!has_died(&escaped) && clock_ms() < until)
        usleep(10000);
    assert_true(has_died(&escaped));
    assert_true(loop_run_until(rig.loop, have_all_ended, &rig, WAIT_MS));
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_false(rig.lost);
    close_rig(&rig);
}

static bool isolation_is_possible(void)
{
    struct zygote *zygote = NULL;
    const char *why = "";
    bool possible =
        zygote_fork(true, NULL, NULL, &zygote) == ERR_OK && zygote_isolated(zygote, &why);
    if (!possible)
        print_message("no isolated runs here: %s\n", why);
    zygote_destroy(&zygote);
    return possible;
}

/* More than the socket holds: what waits there is no sign that the zygote has gone. */
static void a_flood_of_messages_arrives(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_rig(&rig, add_then_text);
    zygote_lease(rig.zygote, clock_ms() + 60000);
    for (uint64_t id = 100; id < 30000; id++)
        zygote_kill(rig.zygote, id);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, WAIT_MS));
    assert_false(rig.lost);
    assert_string_equal(js_str(rig.done, "outcome", ""), "completed");
    close_rig(&rig);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_calls_tools_and_completes),
        cmocka_unit_test(a_call_waits_for_its_record),
        cmocka_unit_test(a_call_is_not_made_when_the_lease_is_over),
        cmocka_unit_test(a_server_sees_what_its_mode_says),
        cmocka_unit_test(killing_a_run_takes_its_daemons_along),
        cmocka_unit_test(runs_end_with_the_lease),
        cmocka_unit_test(ends_that_wait_do_not_stop_the_lease),
        cmocka_unit_test(without_a_lease_nothing_starts),
        cmocka_unit_test(everything_ends_with_the_worker),
        cmocka_unit_test(a_flood_of_messages_arrives),
        cmocka_unit_test(a_killed_worker_leaves_nothing),
        cmocka_unit_test(a_killed_zygote_leaves_nothing),
    };
    int failed = cmocka_run_group_tests_name("shared processes", tests, NULL, NULL);
    isolate = isolation_is_possible();
    if (isolate)
        failed += cmocka_run_group_tests_name("isolated", tests, NULL, NULL);
    return failed;
}
