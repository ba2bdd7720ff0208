#include "services/cli/submit.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/follow.h"

enum { CALL_MS = 30000 };

/* Of a message alone it is the one that POST /run makes, so that both know each other's keys. */
static void hash(const struct submit *submit, char ret_hex[2 * CRYPTO_SHA256_BYTES + 1])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    AUTOFREE char *text = NULL;
    if (submit->options || submit->conversation_id) {
        AUTOJSON json_t *all =
            json_pack("{s:s, s:O?, s:s?}", "message", submit->message, "options", submit->options,
                      "conversation_id", submit->conversation_id);
        text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    } else {
        text = mem_strdup(submit->message);
    }
    crypto_sha256(text, strlen(text), digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static json_t *item_of(const struct submit *submit)
{
    char id[CRYPTO_UUID_SIZE], digest[2 * CRYPTO_SHA256_BYTES + 1];
    crypto_uuid7(id);
    json_t *item = json_pack("{s:s, s:s, s:s}", "job_id", id, "user_id", submit->user_id, "message",
                             submit->message);
    if (submit->options)
        json_object_set(item, "options", (json_t *)submit->options);
    if (submit->conversation_id)
        json_object_set_new(item, "conversation_id", json_string(submit->conversation_id));
    if (submit->callback_url)
        json_object_set_new(item, "callback_url", json_string(submit->callback_url));
    if (submit->key) {
        hash(submit, digest);
        json_object_set_new(item, "key", json_string(submit->key));
        json_object_set_new(item, "hash", json_string(digest));
    }
    return item;
}

int submit_job(struct bus_session *session, const struct submit *submit, json_t **ret_job)
{
    AUTOJSON json_t *item = item_of(submit), *result = NULL;
    if (!item) {
        fprintf(stderr, "mcpbus: message and user must be UTF-8 texts\n");
        return CLI_USAGE;
    }
    if (session_call(session, "jobs.submit", json_pack("{s:[O]}", "items", item), NULL, NULL,
                     &result))
        return session_fail(session, "jobs.submit");
    const json_t *one = json_array_get(json_object_get(result, "results"), 0);
    const char *id = js_str(one, "job_id", NULL);
    if (!id) {
        const char *error = js_str(one, "error", "INTERNAL");
        return session_refuse(session, error, "the job was refused: %s: %s", error,
                              js_str(one, "detail", "no reason was given"));
    }
    *ret_job = json_pack("{s:s, s:s}", "job_id", id, "user_id", submit->user_id);
    return CLI_OK;
}

int submit_follow(struct bus_session *session, const struct args *args, const json_t *job)
{
    const char *id = js_str(job, "job_id", "");
    bool json = args_flag(args, "--json");
    int64_t timeout = 0;
    if (args_int(args, "--timeout", 0, 1, 86400, &timeout))
        return CLI_USAGE;
    if (args_flag(args, "--no-wait")) {
        if (json)
            output_json(job);
        else
            output_say(stdout, "%s\n", id);
        return CLI_OK;
    }
    session_set_timeout(session, CALL_MS);
    bool terminal = output_is_terminal(stderr);
    if (terminal)
        output_say(stderr, "job %s\n", id);
    struct follow follow = {.session = session,
                            .job = job,
                            .events = terminal ? stderr : NULL,
                            .ask = true,
                            .timeout_ms = timeout * 1000};
    return follow_to_result(&follow, json);
}
