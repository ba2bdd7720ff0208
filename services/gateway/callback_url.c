/* Where a job's end is to be told: checked here for what its text says, and again when it is called
 * (services/jobs/webhooks.c) for where it leads. */
#include <stdio.h>
#include <string.h>

#include "libcommon/http_client_url.h"
#include "services/gateway/gateway.h"
#include "services/gateway/run_options.h"

static bool refuse(struct call *call, const char *type, const char *msg, const json_t *input,
                   json_t *ctx)
{
    validation_error(call, type, json_pack("[s, s]", "body", "callback_url"), msg, input, ctx);
    return false;
}

static bool refuse_value(struct call *call, const char *why, const json_t *input)
{
    char msg[160];
    snprintf(msg, sizeof(msg), "Value error, %s", why);
    return refuse(call, "value_error", msg, input, json_pack("{s:s}", "error", why));
}

static bool check(struct call *call, const json_t *value)
{
    const struct settings *settings = call->gateway->settings;
    bool private_allowed = strcmp(settings->webhook_private, "allow") == 0;
    const char *text = json_string_value(value);
    struct http_url url;
    if (!text)
        return refuse(call, "url_type", "URL input should be a string or URL", value, NULL);
    if (!settings->webhook_secret)
        return refuse_value(call, "webhooks are not configured here: WEBHOOK_SECRET is unset",
                            NULL);
    if (json_string_length(value) >= HTTP_URL_MAX)
        return refuse(call, "url_too_long", "URL should have at most 2047 characters", NULL,
                      json_pack("{s:i}", "max_length", HTTP_URL_MAX - 1));
    if (http_url_parse(text, &url))
        return refuse(call, "url_parsing", "Input should be a valid URL, without user information",
                      value, json_pack("{s:s}", "error", "not an absolute http or https URL"));
    if (!url.https && !private_allowed)
        return refuse(call, "url_scheme", "URL scheme should be 'https'", value,
                      json_pack("{s:s}", "expected_schemes", "'https'"));
    if (!private_allowed && http_url_is_internal(&url))
        return refuse_value(call, "the address is not a public one", value);
    return true;
}

bool callback_url_read(struct call *call, const json_t *body, const char **ret_url)
{
    const json_t *value = json_object_get(body, "callback_url");
    bool none = !value || json_is_null(value);
    if (!none && !check(call, value))
        return false;
    *ret_url = none ? NULL : json_string_value(value);
    return true;
}
