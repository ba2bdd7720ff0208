#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/rpc.h"

/* Messages */

/* `id` NULL: it is not known. */
static json_t *refusal(const json_t *id, int code, const char *message)
{
    json_t *text = js_string_capped(message, strlen(message), 1000, "…");
    return json_pack("{s:s,s:O?,s:{s:i,s:o}}", "jsonrpc", "2.0", "id", id, "error", "code", code,
                     "message", text);
}

static bool is_response(const json_t *message)
{
    return !json_object_get(message, "method") &&
           (json_object_get(message, "result") || json_object_get(message, "error"));
}

static json_t *call(const json_t *message, const json_t *id, rpc_method_fn *fn, void *arg)
{
    struct rpc_error error = {0};
    const char *method = js_str(message, "method", NULL);
    const json_t *given = json_object_get(message, "params");
    if (given && !json_is_object(given))
        return refusal(id, RPC_INVALID_PARAMS, "params must be an object");
    AUTOJSON json_t *params = given ? json_incref((json_t *)given) : json_object();
    json_t *result = fn(arg, method, params, id, &error);
    if (!result && error.code == RPC_CANCELLED)
        return NULL;
    if (!result) {
        json_t *answer = refusal(id, error.code, error.message);
        if (error.data)
            json_object_set_new(json_object_get(answer, "error"), "data", error.data);
        return answer;
    }
    return json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), "result",
                     result);
}

static json_t *answer_one(const json_t *message, rpc_method_fn *fn, void *arg)
{
    const json_t *id = json_object_get(message, "id");
    if (!json_is_object(message))
        return refusal(NULL, RPC_INVALID_REQUEST, "a message must be an object");
    if (id && !json_is_string(id) && !json_is_integer(id))
        return refusal(NULL, RPC_INVALID_REQUEST, "id must be a text or a whole number");
    if (strcmp(js_str(message, "jsonrpc", ""), "2.0") != 0)
        return refusal(id, RPC_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
    if (is_response(message))
        return NULL; /* we ask the client nothing */
    if (!js_str(message, "method", NULL))
        return refusal(id, RPC_INVALID_REQUEST, "method must be a text");
    json_t *answer = call(message, id, fn, arg);
    if (id)
        return answer;
    json_decref(answer);
    return NULL;
}

static json_t *answer_batch(const json_t *batch, rpc_method_fn *fn, void *arg)
{
    size_t i, count = json_array_size(batch);
    if (count == 0 || count > RPC_BATCH_MAX)
        return refusal(NULL, RPC_INVALID_REQUEST, "a batch must have 1 to 64 messages");
    json_t *answers = json_array();
    for (i = 0; i < count; i++) {
        json_t *answer = answer_one(json_array_get(batch, i), fn, arg);
        if (answer)
            json_array_append_new(answers, answer);
    }
    if (json_array_size(answers) > 0)
        return answers;
    json_decref(answers);
    return NULL;
}

json_t *rpc_answer(const char *line, size_t len, rpc_method_fn *fn, void *arg)
{
    char why[JS_WHY_SIZE] = "";
    AUTOJSON json_t *message = NULL;
    if (js_parse(line, len, &message, why) != ERR_OK) {
        AUTOFREE char *text = mem_printf("not JSON: %s", why);
        return refusal(NULL, RPC_PARSE_ERROR, text);
    }
    if (json_is_array(message))
        return answer_batch(message, fn, arg);
    return answer_one(message, fn, arg);
}
