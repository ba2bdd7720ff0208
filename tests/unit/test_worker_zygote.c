#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/clock.h"
#include "services/worker/frames.h"
#include "services/worker/zygote.h"

#define SERVER MCPBUS_SOURCE_DIR "/tests/fixtures/mcp_server.py"

/* A worker's loop in small: the real zygote and run, a scripted model. */
struct rig {
    struct loop *loop;
    struct zygote *zygote;
    struct frame_peer *peer;
    const char *const *answers; /* JSON of the model's messages */
    size_t asked, results;
    char result[1000]; /* of the last tool_result */
    json_t *done;
    bool tool_called, ended, lost, stuck; /* stuck: acknowledges nothing */
    enum zygote_end end;
};

static void on_ended(void *arg, uint64_t id, enum zygote_end end, int status)
{
    struct rig *rig = arg;
    (void)status;
    assert_int_equal(id, 7);
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
    AUTOJSON json_t *ack = json_pack("{s:s}", "t", "ack");
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
    assert_int_equal(zygote_fork(NULL, NULL, &rig->zygote), ERR_OK);
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
    AUTOJSON json_t *job = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:i, s:[{s:s, s:s, s:[], s:{s:s}}]}", "t", "job", "job_id", "j",
        "message", "do it", "max_turns", 5, "tool_timeout_ms", 20000, "soft_ms", 60000, "servers",
        "name", "test", "command", SERVER, "args", "env", "PATH", "/usr/bin:/bin");
    assert_int_equal(frame_peer_send(rig->peer, job), ERR_OK);
}

static void close_rig(struct rig *rig)
{
    frame_peer_destroy(&rig->peer);
    zygote_destroy(&rig->zygote);
    json_decref(rig->done);
    loop_destroy(&rig->loop);
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
    assert_true(loop_run_until(rig.loop, is_ended, &rig, 30000));
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
    assert_true(loop_run_until(rig.loop, was_called, &rig, 30000));
    assert_false(loop_run_until(rig.loop, has_result, &rig, 300));
    zygote_kill(rig.zygote, 7);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, 1000));
    close_rig(&rig);
}

/* Runs until a tool has left a daemon behind and another spins; the daemon's pid. */
static pid_t run_to_escape(struct rig *rig)
{
    open_rig(rig, escape_then_spin);
    zygote_lease(rig->zygote, clock_ms() + 60000);
    start_run(rig);
    assert_true(loop_run_until(rig->loop, has_result, rig, 30000));
    pid_t escaped = (pid_t)strtol(rig->result, NULL, 10);
    assert_true(escaped > 1 && kill(escaped, 0) == 0);
    return escaped;
}

static void killing_a_run_takes_its_daemons_along(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    int64_t begun = clock_ms();
    zygote_kill(rig.zygote, 7);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, 1000));
    assert_true(loop_run_until(rig.loop, has_died, &escaped, 1000));
    assert_true(clock_ms() - begun < 1000);
    close_rig(&rig);
}

static void runs_end_with_the_lease(void **state)
{
    (void)state;
    struct rig rig = {0};
    pid_t escaped = run_to_escape(&rig);
    zygote_lease(rig.zygote, clock_ms() + 300);
    assert_false(loop_run_until(rig.loop, is_ended, &rig, 150));
    assert_true(loop_run_until(rig.loop, is_ended, &rig, 1000));
    assert_int_equal(rig.end, ZYGOTE_RUN_EXPIRED);
    assert_true(loop_run_until(rig.loop, has_died, &escaped, 1000));
    close_rig(&rig);
}

static void without_a_lease_nothing_starts(void **state)
{
    (void)state;
    struct rig rig = {0};
    open_rig(&rig, add_then_text);
    start_run(&rig);
    assert_true(loop_run_until(rig.loop, is_ended, &rig, 2000));
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
    assert_true(loop_run_until(rig.loop, is_lost, &rig, 2000));
    assert_true(has_died(&escaped));
    close_rig(&rig);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_calls_tools_and_completes),
        cmocka_unit_test(a_call_waits_for_its_record),
        cmocka_unit_test(killing_a_run_takes_its_daemons_along),
        cmocka_unit_test(runs_end_with_the_lease),
        cmocka_unit_test(without_a_lease_nothing_starts),
        cmocka_unit_test(everything_ends_with_the_worker),
        cmocka_unit_test(a_killed_zygote_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
