#include "tests/unit/unit.h"

#include "libcommon/span.h"

static struct span seen[8];
static size_t seen_count;
static const char *seen_error;

static void sink(void *arg, const struct span_record *record)
{
    assert_ptr_equal(arg, &seen_count);
    seen_error = record->error;
    assert_true(record->end_us >= record->span->start_us);
    seen[seen_count++] = *record->span;
}

static struct span_sampler sampler_of(const char *name, const char *arg)
{
    struct span_sampler sampler;
    assert_true(span_sampler_read(name, arg, &sampler));
    return sampler;
}

static void use(const char *name, const char *arg)
{
    struct span_sampler sampler = sampler_of(name, arg);
    seen_count = 0;
    span_set_sink(&sampler, sink, &seen_count);
}

static const struct trace asked = {.trace_id = {1}, .span_id = {2}, .sampled = true};
static const struct trace unasked = {.trace_id = {1}, .span_id = {2}, .sampled = false};

static void test_without_an_exporter_nothing_is_made(void **state)
{
    (void)state;
    span_set_sink(NULL, NULL, NULL);
    struct span span = span_begin_root(&asked, NULL);
    assert_false(span_is_on(&span));
    assert_memory_equal(&span.trace, &asked, sizeof asked); /* goes on as it came */
    span = span_begin_root(NULL, NULL);
    assert_true(trace_is_set(&span.trace));
    assert_false(span.trace.sampled);
    span = span_begin(&asked);
    assert_false(span_is_on(&span));
    span_end(&span, "never", SPAN_INTERNAL, NULL, NULL);
}

static void test_children_know_their_parents(void **state)
{
    (void)state;
    use("parentbased_always_on", NULL);
    struct span root = span_begin_root(&asked, NULL), child = span_begin(&root.trace);
    assert_memory_equal(root.parent_id, asked.span_id, 8);
    assert_memory_equal(root.trace.trace_id, asked.trace_id, 16);
    assert_memory_equal(child.parent_id, root.trace.span_id, 8);
    assert_memory_not_equal(child.trace.span_id, root.trace.span_id, 8);
    span_end(&child, "child", SPAN_CLIENT, "broken", NULL);
    assert_string_equal(seen_error, "broken");
    span_end(&root, "root", SPAN_SERVER, NULL, NULL);
    assert_int_equal(seen_count, 2);
    uint8_t id[8];
    struct span named = span_begin_named(&root.trace, "call_1");
    span_named_id(&root.trace, "call_1", id);
    assert_memory_equal(named.trace.span_id, id, 8);
    span_named_id(&root.trace, "call_2", id);
    assert_memory_not_equal(named.trace.span_id, id, 8);
}

static void test_samplers(void **state)
{
    (void)state;
    struct span span;
    struct span_sampler sampler;
    use("parentbased_always_off", NULL);
    span = span_begin_root(&asked, NULL);
    assert_true(span_is_on(&span));
    span = span_begin_root(NULL, &unasked);
    assert_false(span_is_on(&span));
    assert_memory_equal(span.trace.trace_id, unasked.trace_id, 16);
    use("parentbased_always_on", NULL);
    span = span_begin_root(&unasked, NULL);
    assert_false(span_is_on(&span));
    use("always_on", NULL);
    span = span_begin_root(&unasked, NULL);
    assert_true(span_is_on(&span));
    use("always_off", NULL);
    span = span_begin_root(&asked, NULL);
    assert_false(span_is_on(&span));
    assert_false(span.trace.sampled); /* nor by those whom it calls */
    assert_false(span_sampler_read("traceidratio", "1.5", &sampler));
    assert_false(span_sampler_read("traceidratio", "nan", &sampler));
    assert_false(span_sampler_read("traceidratio", "0.5x", &sampler));
    assert_false(span_sampler_read("traceidratio", "", &sampler));
}

static void test_the_ratio_goes_by_the_trace_id(void **state)
{
    (void)state;
    int chosen = 0;
    use("parentbased_traceidratio", "0.25");
    for (int i = 0; i < 4000; i++) {
        struct span span = span_begin_root(NULL, NULL);
        struct span again = span_begin_root(NULL, &span.trace);
        assert_int_equal(span_is_on(&span), span_is_on(&again));
        chosen += span_is_on(&span);
    }
    assert_in_range(chosen, 800, 1200);
    use("traceidratio", "0");
    struct span span = span_begin_root(NULL, NULL);
    assert_false(span_is_on(&span));
    span_set_sink(NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_exporter_nothing_is_made),
        cmocka_unit_test(test_children_know_their_parents),
        cmocka_unit_test(test_samplers),
        cmocka_unit_test(test_the_ratio_goes_by_the_trace_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
