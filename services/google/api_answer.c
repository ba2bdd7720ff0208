#include "services/google/api_answer.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/result.h"

enum { MESSAGE_MAX = 300 };

struct refusal {
    char message[MESSAGE_MAX + 8];
    char reason[64];
};

/* {"error": {"message", "errors": [{"reason"}], "status"}}; anything else leaves them empty. */
static void read_refusal(const struct http_answer *answer, struct refusal *refusal)
{
    AUTOJSON json_t *json = NULL;
    *refusal = (struct refusal){0};
    if (js_parse(answer->body, answer->len, &json, NULL) != ERR_OK)
        return;
    const json_t *error = json_object_get(json, "error");
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);
    const char *reason = js_str(first, "reason", js_str(error, "status", ""));
    struct buf message;
    buf_init(&message, sizeof refusal->message - 1);
    if (*js_str(error, "message", ""))
        text_add_line(&message, js_str(error, "message", ""), MESSAGE_MAX);
    memcpy(refusal->message, buf_text(&message), message.len);
    buf_fini(&message);
    snprintf(refusal->reason, sizeof refusal->reason, "%s", reason);
}

static bool is_quota(const char *reason)
{
    static const char *const quota[] = {"rateLimitExceeded",  "userRateLimitExceeded",
                                        "quotaExceeded",      "dailyLimitExceeded",
                                        "RESOURCE_EXHAUSTED", "sharingRateLimitExceeded"};
    for (size_t i = 0; i < sizeof quota / sizeof *quota; i++)
        if (strcmp(reason, quota[i]) == 0)
            return true;
    return false;
}

static struct api_verdict limited(const struct refusal *refusal, char *ret_why)
{
    bool day = strcmp(refusal->reason, "dailyLimitExceeded") == 0 ||
               strcmp(refusal->reason, "quotaExceeded") == 0;
    snprintf(ret_why, API_WHY_SIZE,
             day ? "Google's quota for this application is used up for now. Try again tomorrow."
                 : "Google's limit of requests has been reached. Try again in a minute.");
    return (struct api_verdict){ERR_LIMITED, !day};
}

static struct api_verdict denied(const struct refusal *refusal, char *ret_why)
{
    const char *what = strcmp(refusal->reason, "accessNotConfigured") == 0
                           ? "this Google API is not enabled for the application"
                       : *refusal->message ? refusal->message
                                           : "the granted access is not sufficient";
    snprintf(ret_why, API_WHY_SIZE, "Google does not allow this: %s", what);
    return (struct api_verdict){ERR_DENIED, false};
}

static struct api_verdict refused(const struct http_answer *answer, char *ret_why)
{
    struct refusal refusal;
    int status = answer->status;
    read_refusal(answer, &refusal);
    const char *message = *refusal.message ? refusal.message : "no reason given";
    if (status == 429 || (status == 403 && is_quota(refusal.reason)))
        return limited(&refusal, ret_why);
    if (status == 403)
        return denied(&refusal, ret_why);
    if (status == 401) {
        snprintf(ret_why, API_WHY_SIZE,
                 "Google no longer accepts this sign-in: it has expired or was revoked. Sign in "
                 "again.");
        return (struct api_verdict){ERR_UNAUTHENTICATED, false};
    }
    if (status == 404) {
        snprintf(ret_why, API_WHY_SIZE, "Google did not find it: %s", message);
        return (struct api_verdict){ERR_NOT_FOUND, false};
    }
    if (status >= 500) {
        snprintf(ret_why, API_WHY_SIZE, "Google has a problem (HTTP %d). Try again later.", status);
        return (struct api_verdict){ERR_UPSTREAM, status != 501};
    }
    snprintf(ret_why, API_WHY_SIZE, "Google refused the request (HTTP %d): %s", status, message);
    return (struct api_verdict){ERR_INVALID, status == 408};
}

struct api_verdict api_read_answer(const struct http_answer *answer, json_t **ret_json,
                                   char ret_why[API_WHY_SIZE])
{
    json_t *json = NULL;
    if (answer->status < 200 || answer->status > 299)
        return refused(answer, ret_why);
    if (answer->len == 0) {
        *ret_json = json_object();
        return (struct api_verdict){ERR_OK, false};
    }
    if (js_parse(answer->body, answer->len, &json, NULL) != ERR_OK || !json_is_object(json)) {
        json_decref(json);
        snprintf(ret_why, API_WHY_SIZE, "Google's answer could not be understood.");
        return (struct api_verdict){ERR_UPSTREAM, false};
    }
    *ret_json = json;
    return (struct api_verdict){ERR_OK, false};
}
