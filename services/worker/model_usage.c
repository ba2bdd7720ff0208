#include "services/worker/model_usage.h"

#include <stdint.h>

#include "libcommon/js.h"

enum { TOKENS_MAX = 1 << 30, TOKEN_BYTES = 4 };

static int64_t tokens(const json_t *usage, const char *key)
{
    int64_t count = js_int(usage, key, 0);
    return count < 0 || count > TOKENS_MAX ? 0 : count;
}

static int64_t either(const json_t *usage, const char *key, const char *other)
{
    int64_t count = tokens(usage, key);
    return count ? count : tokens(usage, other);
}

static int64_t cached_tokens(const json_t *usage)
{
    const json_t *details = json_object_get(usage, "prompt_tokens_details");
    if (!json_is_object(details))
        details = json_object_get(usage, "input_tokens_details");
    int64_t count = tokens(details, "cached_tokens");
    if (!count)
        count = either(usage, "cached_tokens", "prompt_cache_hit_tokens"); /* Moonshot, DeepSeek */
    return count ? count : tokens(usage, "cache_read_input_tokens");
}

static json_t *usage_json(int64_t input, int64_t output, int64_t cached, int64_t reasoning)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)input,
                     "output_tokens", (json_int_t)output, "total_tokens",
                     (json_int_t)input + output, "cached_tokens", (json_int_t)cached,
                     "reasoning_tokens", (json_int_t)reasoning);
}

json_t *model_usage_read(const json_t *usage)
{
    int64_t input = either(usage, "prompt_tokens", "input_tokens");
    int64_t output = either(usage, "completion_tokens", "output_tokens");
    int64_t total = tokens(usage, "total_tokens"), cached = cached_tokens(usage);
    const json_t *details = json_object_get(usage, "completion_tokens_details");
    if (!json_is_object(details))
        details = json_object_get(usage, "output_tokens_details");
    int64_t reasoning = tokens(details, "reasoning_tokens");
    /* xAI and Gemini count reasoning in the total alone; it is paid for as output. */
    if (total > input + output)
        output = total - input;
    if (input + output == 0)
        return NULL;
    return usage_json(input, output, cached < input ? cached : input,
                      reasoning < output ? reasoning : output);
}

json_t *model_usage_estimate(size_t input_bytes, size_t output_bytes)
{
    json_t *usage = usage_json((int64_t)(input_bytes / TOKEN_BYTES),
                               (int64_t)(output_bytes / TOKEN_BYTES), 0, 0);
    json_object_set_new(usage, "estimated", json_true());
    return usage;
}
