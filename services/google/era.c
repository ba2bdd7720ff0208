#include "services/google/era.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"

#define META "io.modelcontextprotocol/"

static const char *const older[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
enum { OLDER = sizeof older / sizeof *older };

const char *era_negotiate(const char *asked)
{
    for (size_t i = 0; i < OLDER; i++)
        if (strcmp(older[i], asked) == 0)
            return older[i];
    return older[OLDER - 1];
}

json_t *era_supported_versions(void)
{
    json_t *list = json_array();
    json_array_append_new(list, json_string(ERA_MODERN_VERSION));
    for (size_t i = OLDER; i > 0; i--)
        json_array_append_new(list, json_string(older[i - 1]));
    return list;
}

json_t *era_server_info(void)
{
    return json_pack("{s:s,s:s,s:s}", "name", "mcpbus-google", "title", "Google Workspace",
                     "version", MCPBUS_VERSION);
}

static enum err refuse(struct rpc_error *error, int code, const char *message, json_t *data)
{
    error->code = code;
    error->data = data;
    snprintf(error->message, sizeof error->message, "%s", message);
    return ERR_INVALID;
}

enum err era_read(const json_t *params, bool *ret_modern, struct rpc_error *error)
{
    const json_t *meta = json_object_get(params, "_meta");
    const json_t *version = json_object_get(meta, META "protocolVersion");
    const json_t *capabilities = json_object_get(meta, META "clientCapabilities");
    if (!version && !capabilities) {
        *ret_modern = false;
        return ERR_OK;
    }
    if (!json_is_string(version))
        return refuse(error, RPC_INVALID_PARAMS, "_meta lacks " META "protocolVersion", NULL);
    if (strcmp(json_string_value(version), ERA_MODERN_VERSION) != 0)
        return refuse(
            error, ERA_UNSUPPORTED_VERSION, "Unsupported protocol version",
            json_pack("{s:o,s:O}", "supported", era_supported_versions(), "requested", version));
    if (!json_is_object(capabilities))
        return refuse(error, RPC_INVALID_PARAMS, "_meta lacks " META "clientCapabilities", NULL);
    *ret_modern = true;
    return ERR_OK;
}

void era_complete(json_t *result, int64_t ttl_ms)
{
    json_t *meta = json_object();
    json_object_set_new(meta, META "serverInfo", era_server_info());
    json_object_set_new(result, "_meta", meta);
    json_object_set_new(result, "resultType", json_string("complete"));
    if (ttl_ms < 0)
        return;
    json_object_set_new(result, "ttlMs", json_integer(ttl_ms));
    json_object_set_new(result, "cacheScope", json_string("private"));
}
