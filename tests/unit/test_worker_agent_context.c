/* Making room in a conversation: invented ones, of every size, stay legal and keep their task. */
#include "tests/unit/agent_fixture.h"

#include "services/worker/agent_context.h"
#include "services/worker/agent_message.h"

/* A generator of our own, so that a seed gives the same everywhere. */
static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (*seed >> 33) % below;
}

/* Some text with characters of several bytes. */
static char *text_of(uint64_t *seed, size_t max)
{
    static const char *const pieces[] = {"a", "word ", "\"", "é", "語", "\n", "😀"};
    struct buf out;
    size_t len = (size_t)draw(seed, max);
    buf_init(&out, max + 16);
    while (out.len < len)
        buf_add_str(&out, pieces[draw(seed, sizeof pieces / sizeof *pieces)]);
    return buf_steal(&out);
}

static json_t *said(uint64_t *seed, const char *role, size_t max)
{
    AUTOFREE char *text = text_of(seed, max);
    return agent_message(role, text);
}

static void add_run_turn(json_t *messages, uint64_t *seed, size_t max)
{
    size_t count = 1 + (size_t)draw(seed, 4);
    json_t *calls = json_array();
    char ids[4][32];
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *text = text_of(seed, draw(seed, 4) ? 50 : max);
        AUTOJSON json_t *arguments = json_pack("{s:s}", "x", text);
        snprintf(ids[i], sizeof ids[i], "id%zu_%zu", json_array_size(messages), i);
        json_array_append_new(calls, agent_message_call(ids[i], "s__t", arguments));
    }
    AUTOFREE char *text = text_of(seed, draw(seed, 3) ? 1 : max);
    json_array_append_new(messages, agent_message_calls(text, calls));
    for (size_t i = 0; i < count; i++) {
        AUTOFREE char *result = text_of(seed, max);
        json_array_append_new(messages, agent_message_result(ids[i], result));
    }
}

static json_t *invent(uint64_t *seed, size_t *ret_task_at, size_t *ret_fresh_at)
{
    json_t *messages = json_array();
    json_array_append_new(messages, said(seed, "system", 200));
    for (uint64_t i = draw(seed, 6); i > 0; i--) {
        json_array_append_new(messages, said(seed, "user", 3000));
        json_array_append_new(messages, said(seed, "assistant", 3000));
    }
    *ret_task_at = json_array_size(messages);
    json_array_append_new(messages, said(seed, "user", 2000));
    *ret_fresh_at = json_array_size(messages);
    for (uint64_t i = draw(seed, 8); i > 0; i--) {
        *ret_fresh_at = json_array_size(messages);
        add_run_turn(messages, seed, 1 + (size_t)draw(seed, 20000));
    }
    return messages;
}

static void invented_conversations_stay_legal(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 100; n++) {
        uint64_t seed = n;
        struct agent_context context;
        size_t task_at, fresh_at;
        json_t *messages = invent(&seed, &task_at, &fresh_at);
        AUTOJSON json_t *task = json_incref(json_array_get(messages, task_at));
        AUTOFREE char *before = js_dump(task);
        agent_context_init(&context, messages, task_at, 1 << 30, SIZE_MAX);
        context.fresh_at = fresh_at;
        size_t whole = js_dump_size(messages);
        while (context.max_bytes > 1000) {
            context.max_bytes = context.max_bytes == SIZE_MAX ? whole : context.max_bytes * 2 / 3;
            bool fits = agent_context_fit(&context);
            AUTOJSON json_t *request = json_pack("{s:O}", "messages", messages);
            AUTOFREE char *after = js_dump(json_array_get(messages, context.task_at));
            assert_conversation(request);
            assert_string_equal(after, before);
            assert_int_equal(context.sent, js_dump_size(messages));
            if (fits)
                assert_true(js_dump_size(messages) <= context.max_bytes);
            else /* nothing but system, task and the newest turn is left, all short */
                assert_true(context.task_at == 1 && js_dump_size(messages) < 12000);
        }
        agent_context_fini(&context);
    }
}

static json_t *fixed_turns(size_t count, size_t bytes)
{
    json_t *messages = json_array();
    json_array_append_new(messages, agent_message("system", "s"));
    json_array_append_new(messages, agent_message("user", "the task"));
    char *text = mem_alloc(bytes + 1);
    memset(text, 'x', bytes);
    for (size_t i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof id, "c%zu", i);
        json_t *calls = json_array();
        AUTOJSON json_t *arguments = json_object();
        json_array_append_new(calls, agent_message_call(id, "s__t", arguments));
        json_array_append_new(messages, agent_message_calls("", calls));
        json_array_append_new(messages, agent_message_result(id, text));
    }
    free(text);
    return messages;
}

static const char *content(const struct agent_context *context, size_t index)
{
    return js_str(json_array_get(context->messages, index), "content", "");
}

static void the_oldest_goes_first(void **state)
{
    (void)state;
    struct agent_context context;
    agent_context_init(&context, fixed_turns(4, 10000), 1, 1 << 30, SIZE_MAX);
    context.fresh_at = 8;
    context.max_bytes = 35000;
    assert_true(agent_context_fit(&context));
    assert_non_null(strstr(content(&context, 3), "bytes were removed here to make room"));
    assert_int_equal(strlen(content(&context, 5)), 10000);
    assert_int_equal(strlen(content(&context, 9)), 10000);
    context.max_bytes = 13000;
    assert_true(agent_context_fit(&context));
    assert_non_null(strstr(content(&context, 5), "bytes were removed here"));
    assert_int_equal(strlen(content(&context, 9)), 10000); /* the newest: not read yet */
    context.max_bytes = 11000;
    assert_true(agent_context_fit(&context));
    assert_string_equal(content(&context, 3), "[an earlier result, removed to make room]");
    context.max_bytes = 3000;
    assert_true(agent_context_fit(&context));
    assert_true(strlen(content(&context, json_array_size(context.messages) - 1)) < 3000);
    agent_context_fini(&context);
}

static void tokens_are_learnt(void **state)
{
    (void)state;
    struct agent_context context;
    agent_context_init(&context, fixed_turns(4, 10000), 1, 12000, SIZE_MAX);
    context.fresh_at = 8;
    assert_true(agent_context_fit(&context)); /* 40,000 bytes are about 10,000 tokens */
    assert_int_equal(strlen(content(&context, 3)), 10000);
    agent_context_learn(&context, (int64_t)context.sent / 2); /* they are 20,000 here */
    assert_true(agent_context_fit(&context));
    assert_true(strlen(content(&context, 3)) < 2000);
    assert_true(agent_context_tokens(&context) <= 12000);
    agent_context_learn(&context, 0); /* says nothing */
    agent_context_learn(&context, INT64_MAX);
    assert_true(context.tokens_per_byte <= 1);
    agent_context_exceeded(&context);
    size_t sent = context.sent;
    assert_true(agent_context_fit(&context));
    assert_true(context.sent <= sent * 7 / 10);
    agent_context_fini(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invented_conversations_stay_legal),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(tokens_are_learnt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
