#include "services/google/api_answer.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/result.h"

enum { MESSAGE_MAX = 300, REASON_SIZE = 64 };

struct refusal {
    char message[MESSAGE_MAX + 8];
    char reason[REASON_SIZE];
};

/* {"error": {"message", "errors": [{"reason"}], "status", "details": [{"reason"}]}}; anything else
 * leaves them empty. The details (google.rpc.ErrorInfo) say it best where they are. */
static const char *find_reason(const json_t *error)
{
    size_t i;
    const json_t *detail;
    json_array_foreach(json_object_get(error, "details"), i, detail)
    {
        if (*js_str(detail, "reason", ""))
            return js_str(detail, "reason", "");
    }
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);
    return js_str(first, "reason", js_str(error, "status", ""));
}

/* Google's words go to a model and into a job's row. Should they ever repeat a token of the
 * request, as proxies in between like to, it is starred out. */
static void hide_tokens(char *text)
{
    static const char *const begins[] = {"ya29.", "1//", "GOCSPX-", "Bearer "};
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-";
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        for (char *at = text; (at = strstr(at, begins[i]));) {
            at += strlen(begins[i]);
            size_t len = strspn(at, digits);
            memset(at, '*', len);
            at += len;
        }
    }
}

static void read_refusal(const struct http_answer *answer, struct refusal *refusal)
{
    AUTOJSON json_t *json = NULL;
    *refusal = (struct refusal){0};
    if (!answer->len || js_parse(answer->body, answer->len, &json, NULL) != ERR_OK)
        return;
    const json_t *error = json_object_get(json, "error");
    struct buf message;
    buf_init(&message, sizeof refusal->message - 1);
    if (*js_str(error, "message", ""))
        text_add_line(&message, js_str(error, "message", ""), MESSAGE_MAX);
    memcpy(refusal->message, buf_text(&message), message.len);
    buf_fini(&message);
    hide_tokens(refusal->message);
    snprintf(refusal->reason, sizeof refusal->reason, "%s", find_reason(error));
}

/* Reasons that say more than their status, after Google's pages on errors of Gmail, Drive, Calendar
 * and google.rpc.ErrorInfo. */
static const struct meaning {
    const char *reason;
    enum err error;
    bool passing;
    const char *words;
} meanings[] = {
#define MINUTE "Google's limit of requests has been reached. Try again in a minute."
#define TOMORROW "Google's quota for this application is used up for now. Try again tomorrow."
#define NOT_ENABLED                                                                   \
    "Google does not allow this: this Google API is not enabled for the application " \
    "(its owner can do so in Google's console)."
#define NO_SCOPE                                                                    \
    "Google does not allow this: the access that was granted does not include it. " \
    "Sign in again and grant it."
    {"rateLimitExceeded", ERR_LIMITED, true, MINUTE},
    {"userRateLimitExceeded", ERR_LIMITED, true, MINUTE},
    {"RATE_LIMIT_EXCEEDED", ERR_LIMITED, true, MINUTE},
    {"RESOURCE_EXHAUSTED", ERR_LIMITED, true, MINUTE},
    {"sharingRateLimitExceeded", ERR_LIMITED, false,
     "Google's limit of sharing has been reached for this account. Try again tomorrow."},
    {"calendarUsageLimitsExceeded", ERR_LIMITED, false,
     "Google Calendar's limits of use have been reached for this account. Try again in some "
     "hours."},
    {"dailyLimitExceeded", ERR_LIMITED, false, TOMORROW},
    {"dailyLimitExceededUnreg", ERR_LIMITED, false, TOMORROW},
    {"quotaExceeded", ERR_LIMITED, false, TOMORROW},
    {"storageQuotaExceeded", ERR_LIMITED, false,
     "The user's Google storage is full. Space must be freed first."},
    {"accessNotConfigured", ERR_DENIED, false, NOT_ENABLED},
    {"SERVICE_DISABLED", ERR_DENIED, false, NOT_ENABLED},
    {"insufficientPermissions", ERR_DENIED, false, NO_SCOPE},
    {"ACCESS_TOKEN_SCOPE_INSUFFICIENT", ERR_DENIED, false, NO_SCOPE},
    {"insufficientScopes", ERR_DENIED, false, NO_SCOPE},
    {"domainPolicy", ERR_DENIED, false,
     "Google does not allow this: the administrator of the user's organisation has forbidden it."},
    {"appNotAuthorizedToFile", ERR_DENIED, false,
     "Google does not allow this: the application has no access to that file."},
    {"insufficientFilePermissions", ERR_DENIED, false,
     "Google does not allow this: the user has not the right to do so with that file."},
    {"backendError", ERR_UPSTREAM, true, "Google has a problem. Try again later."},
};

static const struct meaning *find_meaning(const char *reason)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(reason, meanings[i].reason) == 0)
            return &meanings[i];
    return NULL;
}

static struct api_verdict by_status(int status, const char *message, char *ret_why)
{
    const char *said = *message ? message : "no reason given";
    switch (status) {
    case 401:
        snprintf(ret_why, API_WHY_SIZE,
                 "Google no longer accepts this sign-in: it has expired or was revoked. Sign in "
                 "again.");
        return (struct api_verdict){.error = ERR_UNAUTHENTICATED, .not_done = true};
    case 403:
        snprintf(ret_why, API_WHY_SIZE, "Google does not allow this: %s",
                 *message ? message : "the granted access is not sufficient");
        return (struct api_verdict){.error = ERR_DENIED};
    case 404:
    case 410:
        snprintf(ret_why, API_WHY_SIZE, "Google did not find it%s: %s",
                 status == 410 ? " any more" : "", said);
        return (struct api_verdict){.error = ERR_NOT_FOUND};
    case 409:
    case 412:
        snprintf(ret_why, API_WHY_SIZE, "It was changed by someone else meanwhile: %s", said);
        return (struct api_verdict){.error = ERR_CONFLICT};
    case 413:
        snprintf(ret_why, API_WHY_SIZE, "It is too large for Google: %s", said);
        return (struct api_verdict){.error = ERR_TOO_LARGE};
    case 429:
        snprintf(ret_why, API_WHY_SIZE, MINUTE);
        return (struct api_verdict){.error = ERR_LIMITED, .passing = true, .not_done = true};
    default:
        break;
    }
    if (status >= 500) {
        snprintf(ret_why, API_WHY_SIZE, "Google has a problem (HTTP %d). Try again later.", status);
        return (struct api_verdict){
            .error = ERR_UPSTREAM, .passing = status != 501, .unknown = status != 501};
    }
    snprintf(ret_why, API_WHY_SIZE, "Google refused the request (HTTP %d): %s", status, said);
    return (struct api_verdict){.error = ERR_INVALID, .passing = status == 408};
}

struct api_verdict api_judge(const struct http_answer *answer, char ret_why[API_WHY_SIZE])
{
    struct refusal refusal;
    int status = answer->status;
    if ((status >= 200 && status <= 299) || status == 308)
        return (struct api_verdict){ERR_OK};
    read_refusal(answer, &refusal);
    const struct meaning *meaning =
        status == 403 || status == 429 || status == 400 ? find_meaning(refusal.reason) : NULL;
    if (!meaning)
        return by_status(status, refusal.message, ret_why);
    snprintf(ret_why, API_WHY_SIZE, "%s", meaning->words);
    return (struct api_verdict){
        .error = meaning->error, .passing = meaning->passing, .not_done = true};
}

struct api_verdict api_no_answer(enum err err, const char *reason, char ret_why[API_WHY_SIZE])
{
    switch (err) {
    case ERR_TOO_LARGE:
        snprintf(ret_why, API_WHY_SIZE, "Google's answer is too large.");
        return (struct api_verdict){.error = err, .unknown = true};
    case ERR_TIMEOUT:
        snprintf(ret_why, API_WHY_SIZE, "Google did not answer in time. Try again later.");
        return (struct api_verdict){.error = err, .unknown = true};
    case ERR_CANCELLED:
        snprintf(ret_why, API_WHY_SIZE, "It was cancelled.");
        return (struct api_verdict){.error = err};
    case ERR_INVALID:
        snprintf(ret_why, API_WHY_SIZE, "The request can't be sent to Google.");
        return (struct api_verdict){.error = ERR_UPSTREAM};
    default:
        snprintf(ret_why, API_WHY_SIZE, "Google could not be reached: %s", reason);
        return (struct api_verdict){.error = ERR_UPSTREAM, .passing = true, .unknown = true};
    }
}

enum err api_read_json(const struct http_answer *answer, json_t **ret_json,
                       char ret_why[API_WHY_SIZE])
{
    json_t *json = NULL;
    if (answer->len == 0) {
        *ret_json = json_object();
        return ERR_OK;
    }
    if (js_parse(answer->body, answer->len, &json, NULL) != ERR_OK || !json_is_object(json)) {
        json_decref(json);
        snprintf(ret_why, API_WHY_SIZE, "Google's answer could not be understood.");
        return ERR_UPSTREAM;
    }
    *ret_json = json;
    return ERR_OK;
}
