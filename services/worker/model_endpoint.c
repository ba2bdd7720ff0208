#include "services/worker/model_endpoint.h"

#include <string.h>
#include <strings.h>

#include "libcommon/http_client.h"
#include "libcommon/mem.h"

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len >= end_len && strncasecmp(text + len - end_len, end, end_len) == 0;
}

static bool host_ends_with(const char *url, const char *end)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return ends_with(host, strcspn(host, ":/?"), end);
}

/* As Azure's own clients put their URLs together: …/openai/deployments/MODEL/chat/completions; but
 * whoever names a deployment or the version-less API in the URL means it. */
static char *azure_base(const char *base)
{
    return mem_printf("%s%s/deployments/", base,
                      ends_with(base, strlen(base), "/openai") ? "" : "/openai");
}

static char *query_of(const char *own, const char *version)
{
    if (!version)
        return mem_strdup(own);
    AUTOFREE char *escaped = http_url_encode(version);
    return mem_printf("%s%capi-version=%s", own, *own ? '&' : '?', escaped);
}

void model_endpoint_init(struct model_endpoint *endpoint, const struct settings *settings)
{
    const char *url = settings->openai_base_url, *version = settings->openai_api_version;
    size_t len = strcspn(url, "?#");
    AUTOFREE char *own_query = mem_strndup(url + len, strcspn(url + len, "#"));
    while (len && url[len - 1] == '/')
        len--;
    AUTOFREE char *base = mem_strndup(url, len);
    *endpoint = (struct model_endpoint){
        .azure = version || host_ends_with(url, ".azure.com"),
        .deployments = version && !strstr(base, "/deployments/") && !ends_with(base, len, "/v1"),
        .query = query_of(own_query, version),
    };
    endpoint->new_limit = endpoint->azure || host_ends_with(url, "api.openai.com");
    endpoint->base = endpoint->deployments ? azure_base(base) : mem_strdup(base);
    if (settings->openai_api_key)
        endpoint->credential = mem_printf(
            endpoint->azure ? "api-key: %s" : "Authorization: Bearer %s", settings->openai_api_key);
}

void model_endpoint_fini(struct model_endpoint *endpoint)
{
    free(endpoint->base);
    free(endpoint->query);
    mem_free_secret(&endpoint->credential);
}

char *model_endpoint_url(const struct model_endpoint *endpoint, const char *model)
{
    AUTOFREE char *escaped = http_url_encode(model);
    return mem_printf("%s%s/chat/completions%s", endpoint->base,
                      endpoint->deployments ? escaped : "", endpoint->query);
}

/* Do they speak of that parameter as one that they don't have? */
static bool refuses(const struct model_error *error, const char *name)
{
    static const char *const words[] = {"unsupported",   "not support",     "unrecognized",
                                        "unknown",       "not permitted",   "unexpected",
                                        "extra",         "deprecated",      "not allowed",
                                        "not available", "must be verified"};
    if (strcmp(error->param, name) != 0 && !strcasestr(error->why, name))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(error->why, words[i]) || strcasestr(error->code, words[i]))
            return true;
    return false;
}

unsigned model_endpoint_lacks(const struct model_error *error, unsigned lacked)
{
    unsigned lacks = 0;
    if (error->status != 400 && error->status != 404 && error->status != 405 &&
        error->status != 422 && error->status != 501)
        return 0;
    if (strcmp(error->code, "context_length_exceeded") == 0)
        return 0;
    if (refuses(error, "stream_options") || refuses(error, "include_usage"))
        lacks = lacked & (MODEL_LACKS_STREAM | MODEL_LACKS_STREAM_OPTIONS)
                    ? MODEL_LACKS_STREAM
                    : MODEL_LACKS_STREAM_OPTIONS;
    else if (refuses(error, "stream"))
        lacks = MODEL_LACKS_STREAM;
    else if (refuses(error, "max_completion_tokens") || refuses(error, "max_tokens"))
        lacks = MODEL_LACKS_LIMIT_NAME;
    else if (refuses(error, "temperature"))
        lacks = MODEL_LACKS_TEMPERATURE;
    return lacks & ~lacked;
}
