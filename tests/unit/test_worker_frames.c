#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/frames.h"

static void a_frame_comes_back_whole(void **state)
{
    (void)state;
    struct buf stream;
    buf_init(&stream, FRAME_MAX);
    AUTOJSON json_t *value = json_pack("{s:s, s:i}", "t", "event", "n", 7);
    assert_int_equal(frame_encode(value, &stream), ERR_OK);
    AUTOJSON json_t *back = NULL;
    assert_int_equal(frame_take(&stream, &back), ERR_OK);
    assert_true(json_equal(value, back));
    assert_int_equal(stream.len, 0);
    buf_fini(&stream);
}

static void pieces_wait_for_their_end(void **state)
{
    (void)state;
    struct buf whole, part;
    buf_init(&whole, FRAME_MAX);
    buf_init(&part, FRAME_MAX);
    AUTOJSON json_t *value = json_pack("{s:s}", "t", "ack");
    assert_int_equal(frame_encode(value, &whole), ERR_OK);
    for (size_t i = 0; i < whole.len; i++) {
        json_t *back = value;
        assert_int_equal(frame_take(&part, &back), ERR_OK);
        assert_null(back);
        buf_add(&part, whole.data + i, 1);
    }
    AUTOJSON json_t *back = NULL;
    assert_int_equal(frame_take(&part, &back), ERR_OK);
    assert_non_null(back);
    buf_fini(&whole);
    buf_fini(&part);
}

static void nonsense_breaks_the_stream(void **state)
{
    (void)state;
    struct buf stream;
    json_t *back = NULL;
    uint32_t head = htonl(FRAME_MAX + 1);
    buf_init(&stream, FRAME_MAX);
    buf_add(&stream, &head, sizeof head);
    assert_int_equal(frame_take(&stream, &back), ERR_TOO_LARGE);
    buf_reset(&stream);
    head = htonl(3);
    buf_add(&stream, &head, sizeof head);
    buf_add(&stream, "[1]", 3);
    assert_int_equal(frame_take(&stream, &back), ERR_INVALID);
    buf_reset(&stream);
    buf_add(&stream, &head, sizeof head);
    buf_add(&stream, "{\"a", 3);
    assert_int_equal(frame_take(&stream, &back), ERR_INVALID);
    assert_null(back);
    buf_fini(&stream);
}

struct heard {
    struct loop *loop;
    struct frame_peer *peer;
    size_t frames;
    int64_t last;
    bool gone;
};

static void on_frame(void *arg, json_t *frame)
{
    struct heard *heard = arg;
    if (frame) {
        heard->frames++;
        heard->last = js_int(frame, "n", -1);
    } else {
        heard->gone = true;
        frame_peer_destroy(&heard->peer);
    }
}

static bool is_gone(void *arg)
{
    return ((struct heard *)arg)->gone;
}

static bool has_three(void *arg)
{
    return ((struct heard *)arg)->frames == 3;
}

static void open_peer(struct heard *heard, int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    heard->loop = loop_new();
    heard->peer = frame_peer_new(heard->loop, ends[0], on_frame, heard);
}

static void say(int fd, int n)
{
    AUTOJSON json_t *value = json_pack("{s:i}", "n", n);
    assert_int_equal(frame_send(fd, value), ERR_OK);
}

static void the_loop_hears_frames_and_the_end(void **state)
{
    (void)state;
    struct heard heard = {0};
    int ends[2];
    open_peer(&heard, ends);
    for (int i = 0; i < 3; i++)
        say(ends[1], i);
    close(ends[1]);
    assert_true(loop_run_until(heard.loop, is_gone, &heard, 20000));
    assert_int_equal(heard.frames, 3);
    assert_int_equal(heard.last, 2);
    loop_destroy(&heard.loop);
}

static void a_paused_peer_loses_nothing(void **state)
{
    (void)state;
    struct heard heard = {0};
    int ends[2];
    open_peer(&heard, ends);
    frame_peer_pause(heard.peer, true);
    for (int i = 0; i < 3; i++)
        say(ends[1], i);
    close(ends[1]);
    assert_false(loop_run_until(heard.loop, is_gone, &heard, 50));
    assert_int_equal(heard.frames, 0);
    frame_peer_pause(heard.peer, false);
    assert_true(loop_run_until(heard.loop, has_three, &heard, 20000));
    assert_true(loop_run_until(heard.loop, is_gone, &heard, 20000));
    loop_destroy(&heard.loop);
}

static void a_large_frame_passes_both_ways(void **state)
{
    (void)state;
    struct heard heard = {0};
    int ends[2];
    open_peer(&heard, ends);
    char *text = mem_alloc((4 << 20) + 1);
    memset(text, 'x', 4 << 20);
    AUTOJSON json_t *value = json_pack("{s:s}", "text", text);
    free(text);
    assert_int_equal(frame_peer_send(heard.peer, value), ERR_OK);
    struct buf in;
    buf_init(&in, FRAME_MAX + (1 << 20));
    json_t *back = NULL;
    for (int i = 0; i < 10000 && !back; i++) {
        loop_run_until(heard.loop, is_gone, &heard, 1);
        assert_int_equal(frame_fill(ends[1], &in), ERR_OK);
        assert_int_equal(frame_take(&in, &back), ERR_OK);
    }
    assert_true(json_equal(back, value));
    json_decref(back);
    buf_fini(&in);
    close(ends[1]);
    frame_peer_destroy(&heard.peer);
    loop_destroy(&heard.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_comes_back_whole),
        cmocka_unit_test(pieces_wait_for_their_end),
        cmocka_unit_test(nonsense_breaks_the_stream),
        cmocka_unit_test(the_loop_hears_frames_and_the_end),
        cmocka_unit_test(a_paused_peer_loses_nothing),
        cmocka_unit_test(a_large_frame_passes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
