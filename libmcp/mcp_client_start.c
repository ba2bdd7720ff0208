#include <stdio.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_client_internal.h"

enum {
    PROBE_MS = 3000,       /* for an answer to server/discover, on stdio */
    INITIALIZE_MS = 15000, /* after a probe without an answer */
    PAGES_MAX = 64,
    TOOL_NAME_MAX_BYTES = 128,
    TOOL_BYTES_MAX = 256 << 10,
    LIST_BYTES_MAX = 8 << 20,
    TOOL_VALUES_MAX = 16 << 10,
    INSTRUCTIONS_MAX = 2048,
    TTL_MAX_MS = 86400000,
    CODE_VERSION = -32022,
    CODE_HEADERS = -32020,
    CODE_CAPABILITY = -32021,
};

static const char modern_version[] = "2026-07-28", legacy_offered[] = "2025-11-25";
static const char *const legacy_versions[] = {"2025-11-25", "2025-06-18", "2025-03-26",
                                              "2024-11-05"};

static const char *legacy_version(const char *text)
{
    for (size_t i = 0; i < sizeof legacy_versions / sizeof *legacy_versions; i++)
        if (strcmp(text, legacy_versions[i]) == 0)
            return legacy_versions[i];
    return NULL;
}

static int64_t left(int64_t deadline)
{
    int64_t ms = deadline - clock_ms();
    return ms > 1 ? ms : 1;
}

/* ---- the tools ---------------------------------------------------------------------------- */

static void listen_for_changes(struct mcp_client *client)
{
    if (client->era != MCP_ERA_MODERN || !client->tells_changes || client->listen_id)
        return;
    json_t *params = json_pack("{s:{s:b}}", "notifications", "toolsListChanged", 1);
    client->listen_id =
        mcp_client_request(client, "subscriptions/listen", params, (struct mcp_head){0});
}

static void get_ready(struct mcp_client *client)
{
    client->state = MCP_READY;
    client->start_deadline = client->step_deadline = 0;
    client->rest_at =
        client->options.rest_ms && !client->called ? clock_ms() + client->options.rest_ms : 0;
    listen_for_changes(client);
    if (client->state == MCP_READY)
        mcp_calls_begin(client);
}

static void request_page(struct mcp_client *client, const char *cursor)
{
    int64_t deadline =
        client->state == MCP_STARTING ? client->start_deadline : client->list_deadline;
    json_t *params = json_object();
    if (cursor)
        json_object_set_new(params, "cursor", json_string(cursor));
    client->pages++;
    client->list_id = mcp_client_request(client, "tools/list", params,
                                         (struct mcp_head){.timeout_ms = left(deadline)});
}

void mcp_list_tools(struct mcp_client *client)
{
    json_decref(client->fresh);
    client->fresh = json_array();
    client->fresh_bytes = client->fresh_values = 0;
    client->pages = 0;
    client->stale = false; /* what changes from here on will be said again */
    request_page(client, NULL);
}

static void end_list(struct mcp_client *client)
{
    if (client->fresh) {
        free(client->packed);
        client->packed = NULL;
        json_decref(client->tools);
        client->tools = client->fresh;
        client->fresh = NULL;
        client->known = true;
        client->after_calls = client->acted;
        client->lists++;
    }
    if (client->state == MCP_STARTING)
        get_ready(client);
}

static bool is_full(const struct mcp_client *client)
{
    return json_array_size(client->fresh) >= MCP_TOOLS_MAX ||
           client->fresh_bytes > LIST_BYTES_MAX || client->fresh_values > MCP_VALUES_MAX;
}

static size_t count_values(const json_t *json)
{
    size_t index, count = 1;
    const char *key;
    json_t *value;
    json_array_foreach(json, index, value) count += count_values(value);
    json_object_foreach((json_t *)json, key, value) count += count_values(value);
    return count;
}

/* Counts what the tool takes; false: too much for one. */
static bool has_room(struct mcp_client *client, const json_t *tool)
{
    size_t bytes = js_dump_size(tool), values = count_values(tool);
    if (bytes > TOOL_BYTES_MAX || values > TOOL_VALUES_MAX)
        return false;
    client->fresh_bytes += bytes;
    client->fresh_values += values;
    return true;
}

static void add_tool(struct mcp_client *client, json_t *tool)
{
    const struct mcp_transport_class *class = client->transport->class;
    const char *name = js_str(tool, "name", "");
    char why[MCP_WHY_SIZE_MAX];
    if (!*name || strlen(name) > TOOL_NAME_MAX_BYTES || is_full(client))
        return;
    bool fits = has_room(client, tool);
    if (!fits)
        snprintf(why, sizeof why, "it is too large");
    if (!fits || (class->accepts && !class->accepts(client->transport, tool, why)))
        log_debug("mcp_tool_refused", LOG_S("server", client->name), LOG_S("tool", name),
                  LOG_S("why", why));
    else
        json_array_append(client->fresh, tool);
}

static void on_tools(struct mcp_client *client, const json_t *result)
{
    size_t index;
    json_t *tool;
    json_array_foreach(json_object_get(result, "tools"), index, tool) add_tool(client, tool);
    int64_t ttl = js_int(result, "ttlMs", -1);
    client->ttl_ms = ttl > TTL_MAX_MS ? TTL_MAX_MS : ttl;
    client->is_private = strcmp(js_str(result, "cacheScope", ""), "private") == 0;
    const char *cursor = js_str(result, "nextCursor", NULL);
    if (cursor && client->pages < PAGES_MAX && !is_full(client))
        request_page(client, cursor);
    else
        end_list(client);
}

static void list_failed(struct mcp_client *client, const char *why)
{
    json_decref(client->fresh);
    client->fresh = NULL;
    if (client->state == MCP_STARTING)
        mcp_client_fail(client, "it does not list its tools: %.160s", why);
}

static void take_capabilities(struct mcp_client *client, const json_t *result)
{
    json_t *capabilities = json_object_get(result, "capabilities");
    json_t *tools = json_object_get(capabilities, "tools");
    const char *text = js_str(result, "instructions", "");
    client->has_tools = json_is_object(tools);
    client->tells_changes = js_bool(tools, "listChanged", false);
    client->has_resources = json_is_object(json_object_get(capabilities, "resources"));
    free(client->instructions);
    client->instructions = NULL;
    if (*text) {
        AUTOJSON json_t *capped = js_string_capped(text, strlen(text), INSTRUCTIONS_MAX, " [cut]");
        client->instructions = mem_strdup(json_string_value(capped));
    }
}

/* The server is ready; are its tools known? */
static void go_on(struct mcp_client *client)
{
    client->step_deadline = 0;
    if (client->known && !client->stale) {
        get_ready(client);
    } else if (client->has_tools) {
        mcp_list_tools(client);
    } else {
        json_decref(client->fresh);
        client->fresh = json_array();
        end_list(client);
    }
}

/* ---- the older era ------------------------------------------------------------------------ */

static void initialize_with(struct mcp_client *client, const char *version)
{
    if (client->remembered && client->era == MCP_ERA_MODERN)
        client->remembered = client->known = false; /* it is another server by now */
    client->era = MCP_ERA_LEGACY;
    client->state = MCP_STARTING;
    client->version = NULL;
    client->discover_id = 0;
    json_t *params =
        json_pack("{s:s, s:{s:{s:{}}}, s:{s:s, s:s}}", "protocolVersion", version, "capabilities",
                  "elicitation", "form", "clientInfo", "name", "mcpbus", "version", MCPBUS_VERSION);
    client->initialize_id =
        mcp_client_request(client, "initialize", params,
                           (struct mcp_head){.timeout_ms = left(client->start_deadline)});
}

void mcp_client_initialize(struct mcp_client *client)
{
    initialize_with(client, legacy_offered);
}

static void on_initialized(struct mcp_client *client, const json_t *result)
{
    const char *version = js_str(result, "protocolVersion", "");
    client->version = legacy_version(version);
    if (!client->version) {
        mcp_client_fail(client, "it speaks protocol version \"%.32s\", which is not known here",
                        version);
        return;
    }
    take_capabilities(client, result);
    mcp_client_notify(client, "notifications/initialized", NULL);
    if (client->state != MCP_FAILED)
        go_on(client);
}

/* ---- the choice of the era ---------------------------------------------------------------- */

/* Only a process may be silent for good reasons of its own, and be replaced by another. */
static void set_step(struct mcp_client *client, int64_t ms)
{
    bool remote = json_object_get(client->spec, "url") != NULL;
    client->step_deadline = remote ? 0 : clock_ms() + ms;
}

static void discover(struct mcp_client *client)
{
    client->era = MCP_ERA_MODERN;
    client->version = modern_version;
    client->probed = true;
    set_step(client, client->options.probe_ms ? client->options.probe_ms : PROBE_MS);
    client->discover_id =
        mcp_client_request(client, "server/discover", json_object(),
                           (struct mcp_head){.timeout_ms = left(client->start_deadline)});
}

static void begin(struct mcp_client *client)
{
    client->step_deadline = 0;
    if (!mcp_client_open(client))
        return;
    if (client->era == MCP_ERA_LEGACY)
        mcp_client_initialize(client);
    else
        discover(client);
}

void mcp_client_start(struct mcp_client *client, int64_t deadline)
{
    client->state = MCP_STARTING;
    client->start_deadline = deadline;
    begin(client);
}

/* With a transport that has not seen what the last one choked on. False: that was done already. */
static bool begin_anew(struct mcp_client *client, enum mcp_era era)
{
    if (client->began_anew || client->state != MCP_STARTING)
        return false;
    client->began_anew = true;
    client->remembered = false;
    client->era = era;
    mcp_client_close(client);
    begin(client);
    return true;
}

/* What was remembered no longer holds, or the probe has upset an old server. */
static bool has_another_way(struct mcp_client *client)
{
    if (client->probed)
        return begin_anew(client, MCP_ERA_LEGACY);
    if (!client->remembered)
        return false;
    client->known = false;
    return begin_anew(client, MCP_ERA_UNKNOWN);
}

static const char *first_legacy(const json_t *supported)
{
    for (size_t i = 0; i < sizeof legacy_versions / sizeof *legacy_versions; i++)
        if (mcp_version_is_listed(supported, legacy_versions[i]))
            return legacy_versions[i];
    return NULL;
}

static void on_discovered(struct mcp_client *client, const json_t *result)
{
    json_t *supported = json_object_get(result, "supportedVersions");
    const char *older = first_legacy(supported);
    if (mcp_version_is_listed(supported, modern_version)) {
        client->initialize_id = 0; /* sent when the answer took its time */
        client->era = MCP_ERA_MODERN;
        client->version = modern_version;
        take_capabilities(client, result);
        go_on(client);
    } else if (older) {
        initialize_with(client, older);
    } else {
        mcp_client_fail(client, "it supports no protocol version that is known here");
    }
}

static void on_discover_error(struct mcp_client *client, const json_t *error)
{
    int64_t code = js_int(error, "code", 0);
    json_t *supported = json_object_get(json_object_get(error, "data"), "supported");
    AUTOFREE char *text = mcp_client_error_text(client, error);
    if (code == CODE_VERSION && mcp_version_is_listed(supported, modern_version) &&
        !client->discover_retried) {
        client->discover_retried = true;
        discover(client);
    } else if (code == CODE_HEADERS || code == CODE_CAPABILITY) {
        mcp_client_fail(client, "it refused to start: %.160s", text);
    } else {
        const char *older = code == CODE_VERSION ? first_legacy(supported) : NULL;
        set_step(client, INITIALIZE_MS);
        if (!client->initialize_id)
            initialize_with(client, older ? older : legacy_offered);
    }
}

static void on_initialize_error(struct mcp_client *client, const json_t *error)
{
    json_t *supported = json_object_get(json_object_get(error, "data"), "supported");
    const char *older = first_legacy(supported);
    AUTOFREE char *text = mcp_client_error_text(client, error);
    if (older && strcmp(older, legacy_offered) != 0 && client->sessions++ == 0)
        initialize_with(client, older);
    else if (!has_another_way(client))
        mcp_client_fail(client, "it refused to start: %.160s", text);
}

static void on_list_error(struct mcp_client *client, const json_t *error)
{
    AUTOFREE char *text = mcp_client_error_text(client, error);
    if (client->state != MCP_STARTING || !client->remembered || !has_another_way(client))
        list_failed(client, text);
}

bool mcp_start_answer(struct mcp_client *client, const struct mcp_message *message)
{
    bool is_error = message->kind == MCP_ERROR;
    if (message->id < 1)
        return false;
    if (message->id == client->discover_id) {
        client->discover_id = 0;
        (is_error ? on_discover_error : on_discovered)(client, message->body);
    } else if (message->id == client->initialize_id) {
        client->initialize_id = 0;
        (is_error ? on_initialize_error : on_initialized)(client, message->body);
    } else if (message->id == client->list_id) {
        client->list_id = 0;
        (is_error ? on_list_error : on_tools)(client, message->body);
    } else if (message->id == client->listen_id) {
        client->listen_id = 0;
    } else {
        return false;
    }
    return true;
}

bool mcp_start_no_answer(struct mcp_client *client, int64_t id, int status, const char *why)
{
    bool refused = status >= 400 && status < 500 && status != 401 && status != 403 &&
                   status != 408 && status != 429;
    if (id < 1)
        return false;
    if (id == client->discover_id) {
        client->discover_id = 0;
        if (refused)
            mcp_client_initialize(client); /* no modern error: the older era */
        else
            mcp_client_fail(client, "%s", why);
    } else if (id == client->initialize_id) {
        client->initialize_id = 0;
        if (!refused || !has_another_way(client))
            mcp_client_fail(client, "%s", why);
    } else if (id == client->list_id) {
        client->list_id = 0;
        list_failed(client, why);
    } else if (id == client->listen_id) {
        client->listen_id = 0;
    } else {
        return false;
    }
    return true;
}

bool mcp_start_ended(struct mcp_client *client)
{
    return has_another_way(client);
}

void mcp_start_deadlines(struct mcp_client *client, int64_t now)
{
    if (client->list_id && client->state == MCP_READY && now >= client->list_deadline) {
        client->list_id = 0;
        list_failed(client, "");
    }
    if (client->state != MCP_STARTING)
        return;
    if (now >= client->start_deadline) {
        mcp_client_fail(client, "it did not get ready in time");
    } else if (client->step_deadline && now >= client->step_deadline) {
        client->step_deadline = 0;
        if (client->initialize_id) {
            has_another_way(client);
        } else {
            /* An old server may say nothing at all to what it does not know; a new one that takes
             * its time may still answer. */
            int64_t probe = client->discover_id;
            mcp_client_initialize(client);
            client->discover_id = probe;
            set_step(client, INITIALIZE_MS);
        }
    }
}

bool mcp_start_session_lost(struct mcp_client *client, int64_t id)
{
    if (client->state == MCP_STARTING) {
        mcp_client_fail(client, "it loses its sessions at once");
    } else if (id == client->list_id) {
        client->list_id = 0;
        client->stale = true;
        client->start_deadline = client->list_deadline;
        mcp_client_initialize(client);
    } else {
        return false;
    }
    return true;
}
