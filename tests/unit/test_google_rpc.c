/* JSON-RPC: framing, refusals, batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <string.h>

#include <stdio.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/rpc.h"

static int calls;

static json_t *method(void *arg, const char *name, const json_t *params, const json_t *id,
                      struct rpc_error *error)
{
    (void)arg, (void)id;
    calls++;
    if (strcmp(name, "echo") == 0)
        return json_deep_copy(params);
    error->code = RPC_NO_METHOD;
    snprintf(error->message, sizeof error->message, "no %s", name);
    return NULL;
}

static void expect(const char *line, const char *expected)
{
    AUTOJSON json_t *answer = rpc_answer(line, strlen(line), method, NULL);
    if (!expected) {
        assert_null(answer);
        return;
    }
    AUTOFREE char *text = js_dump(answer);
    assert_non_null(strstr(text, expected));
}

#define V "\"jsonrpc\":\"2.0\""

static void answers(void **state)
{
    (void)state;
    expect("{" V ",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}",
           "{" V ",\"id\":1,\"result\":{\"a\":1}}");
    expect("{" V ",\"id\":\"x\",\"method\":\"echo\"}", "\"id\":\"x\",\"result\":{}");
    expect("{" V ",\"id\":0,\"method\":\"other\"}",
           "\"id\":0,\"error\":{\"code\":-32601,\"message\":\"no other\"}");
    calls = 0;
    expect("{" V ",\"method\":\"other\"}", NULL);
    assert_int_equal(calls, 1);
    expect("{" V ",\"id\":3,\"result\":{}}", NULL);
    expect("{" V ",\"id\":3,\"error\":{}}", NULL);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const unparsable[] = {"{",           "nope", "{} {}",
                                             "\"\\u0000\"", "\xff", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof unparsable / sizeof *unparsable; i++)
        expect(unparsable[i], "\"id\":null,\"error\":{\"code\":-32700");
    static const char *const invalid[] = {
        "1",
        "null",
        "\"x\"",
        "[]",
        "[1]",
        "{}",
        "{\"id\":1,\"method\":\"echo\"}",
        "{" V ",\"id\":1}",
        "{" V ",\"id\":{},\"method\":\"echo\"}",
        "{" V ",\"id\":1,\"method\":2}",
        "{" V ",\"id\":null,\"method\":\"echo\"}",
        "{" V ",\"id\":1.5,\"method\":\"echo\"}",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        expect(invalid[i], "\"error\":{\"code\":-32600");
    expect("{" V ",\"id\":7,\"method\":\"echo\",\"params\":[1]}",
           "\"id\":7,\"error\":{\"code\":-32602");
}

static void batches(void **state)
{
    (void)state;
    expect("[{" V ",\"id\":1,\"method\":\"echo\"},{" V ",\"method\":\"echo\"},{" V
           ",\"id\":2,\"method\":\"x\"}]",
           "[{" V ",\"id\":1,\"result\":{}},{" V ",\"id\":2,\"error\"");
    expect("[{" V ",\"method\":\"echo\"}]", NULL);
    expect("[[]]", "-32600");
}

/* Serves `input` from a file and gives the output. */
static char *serve(const char *input, size_t len)
{
    FILE *in = tmpfile(), *out = tmpfile();
    fwrite(input, 1, len, in);
    fflush(in);
    lseek(fileno(in), 0, SEEK_SET);
    struct loop *loop = loop_new();
    struct rpc *rpc = rpc_new(loop, fileno(in), fileno(out), method, NULL);
    assert_int_equal(rpc_serve(rpc), ERR_OK);
    rpc_destroy(&rpc);
    loop_destroy(&loop);
    char *text = mem_alloc(65536);
    (void)!pread(fileno(out), text, 65535, 0);
    fclose(in);
    fclose(out);
    return text;
}

static void lines(void **state)
{
    (void)state;
    static const char input[] = "{" V ",\"id\":1,\"method\":\"echo\"}\r\n\n \r\n"
                                "{" V ",\"method\":\"echo\"}\nbad\n"
                                "{" V ",\"id\":2,\"method\":\"echo\"}";
    AUTOFREE char *text = serve(input, strlen(input));
    assert_non_null(strstr(text, "{" V ",\"id\":1,\"result\":{}}\n{" V ",\"id\":null,"));
    assert_non_null(strstr(text, "{" V ",\"id\":2,\"result\":{}}\n"));
    AUTOFREE char *none = serve("", 0);
    assert_string_equal(none, "");
}

static void long_lines(void **state)
{
    (void)state;
    size_t len = 3 * RPC_LINE_MAX;
    static const char tail[] = "\n{" V ",\"id\":5,\"method\":\"echo\"}\n";
    char *input = mem_alloc(len + sizeof tail);
    memset(input, 'x', len);
    memcpy(input + len, tail, sizeof tail);
    AUTOFREE char *text = serve(input, len + sizeof tail - 1);
    assert_string_equal(text, "{" V ",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
                              "\"a message may have at most 4 MiB\"}}\n"
                              "{" V ",\"id\":5,\"result\":{}}\n");
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers), cmocka_unit_test(refusals),   cmocka_unit_test(batches),
        cmocka_unit_test(lines),   cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
