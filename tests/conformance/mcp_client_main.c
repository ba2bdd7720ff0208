/* mcpbus-mcp-client URL: our MCP client on its own. It lists a server's tools; under
 * the official conformance suite, which names its scenario in the environment, it does what that
 * scenario's client is meant to do, through the same libmcp as a run's agent.
 *
 * MCP_CONFORMANCE_SCENARIO          which scenario; unset: the tools are listed, none is called
 * MCP_CONFORMANCE_PROTOCOL_VERSION  the version of the scenario: which era to begin with
 * MCP_CONFORMANCE_CONTEXT           JSON; "toolCalls": [{name, arguments}] to be made */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_client.h"
#include "tests/conformance/mcp_client_auth.h"

enum { WAIT_MS = 25000, STOP_MS = 5000, TEXT_MAX = 64 << 10 };

struct program {
    struct loop *loop;
    struct http_client *http;
    struct mcp_client *client;
    const char *scenario; /* "" when none */
    json_t *context;      /* NULL when none */
};

static struct http_client *http_of(void *arg)
{
    struct program *program = arg;
    if (!program->http)
        program->http = http_client_new(program->loop, NULL);
    return program->http;
}

static void on_progress(void *arg, const struct mcp_call *call, const json_t *params)
{
    (void)arg;
    AUTOFREE char *text = js_dump(params);
    printf("progress of %s: %s\n", call->tool, text);
}

/* ---- calls -------------------------------------------------------------------------------- */

static bool is_done(void *arg)
{
    return ((struct mcp_call *)arg)->done;
}

/* The result's text; free() it. */
static char *call(struct program *program, struct mcp_call *call)
{
    call->text_max = TEXT_MAX;
    call->deadline = clock_ms() + WAIT_MS;
    mcp_client_call(program->client, call);
    loop_run_until(program->loop, is_done, call, WAIT_MS + 1000);
    if (!call->done)
        return mem_strdup("");
    printf("%s%s: %s\n", call->tool ? call->tool : "resources", call->is_error ? " failed" : "",
           call->text);
    return call->text;
}

static void call_tool(struct program *program, const char *tool, json_t *arguments)
{
    struct mcp_call wanted = {.kind = MCP_CALL_TOOL, .tool = tool, .arguments = arguments};
    free(call(program, &wanted));
}

static json_t *value_for(const json_t *schema)
{
    const char *type = js_str(schema, "type", "");
    if (strcmp(type, "string") == 0)
        return json_string("text");
    if (strcmp(type, "boolean") == 0)
        return json_true();
    if (strcmp(type, "array") == 0)
        return json_array();
    return strcmp(type, "object") == 0 ? json_object() : json_integer(2);
}

/* A value for each argument that the tool wants. */
static json_t *arguments_for(const json_t *tool)
{
    json_t *schema = json_object_get(tool, "inputSchema"), *name, *arguments = json_object();
    json_t *properties = json_object_get(schema, "properties");
    size_t index;
    json_array_foreach(json_object_get(schema, "required"), index, name)
    {
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        json_object_set_new(arguments, text, value_for(json_object_get(properties, text)));
    }
    return arguments;
}

static void call_every_tool(struct program *program)
{
    size_t index;
    json_t *tool;
    /* A server may list others in the middle. */
    AUTOJSON json_t *tools = json_deep_copy(mcp_client_tools(program->client));
    json_array_foreach(tools, index, tool)
    {
        AUTOJSON json_t *arguments = arguments_for(tool);
        call_tool(program, js_str(tool, "name", ""), arguments);
    }
}

static void call_what_the_context_says(struct program *program, json_t *calls)
{
    size_t index;
    json_t *wanted;
    json_array_foreach(calls, index, wanted)
    {
        AUTOJSON json_t *none = json_object();
        json_t *arguments = json_object_get(wanted, "arguments");
        call_tool(program, js_str(wanted, "name", ""), arguments ? arguments : none);
    }
}

/* ---- scenarios ---------------------------------------------------------------------------- */

static void do_nothing(struct program *program)
{
    (void)program;
}

/* Gives the one tool's schema back to the other, as it arrived. */
static void echo_schema(struct program *program)
{
    size_t index;
    json_t *tool;
    AUTOJSON json_t *arguments = json_object();
    json_array_foreach(mcp_client_tools(program->client), index, tool)
    {
        if (strcmp(js_str(tool, "name", ""), "json_schema_2020_12_tool") == 0)
            json_object_set(arguments, "schema", json_object_get(tool, "inputSchema"));
    }
    call_tool(program, "json_schema_echo", arguments);
}

static void call_and_read(struct program *program)
{
    call_every_tool(program);
    struct mcp_call list = {.kind = MCP_LIST_RESOURCES};
    AUTOFREE char *text = call(program, &list);
    const char *uri = strstr(text, "file://");
    if (!uri)
        return;
    AUTOJSON json_t *arguments = json_object();
    json_object_set_new(arguments, "uri", json_stringn(uri, strcspn(uri, " \t\n,)")));
    struct mcp_call read = {.kind = MCP_READ_RESOURCE, .arguments = arguments};
    free(call(program, &read));
}

static const struct {
    const char *name;
    void (*act)(struct program *program);
} scenarios[] = {
    {"", do_nothing},
    {"initialize", do_nothing},
    {"request-metadata", do_nothing},
    {"json-schema-ref-no-deref", do_nothing},
    {"json-schema-2020-12-preservation", echo_schema},
    {"http-standard-headers", call_and_read},
};

static void act(struct program *program)
{
    json_t *calls = json_object_get(program->context, "toolCalls");
    if (calls) {
        call_what_the_context_says(program, calls);
        return;
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, program->scenario) == 0) {
            scenarios[i].act(program);
            return;
        }
    }
    call_every_tool(program);
}

/* ---- start and stop ----------------------------------------------------------------------- */

static bool has_listed(void *arg)
{
    return !mcp_client_busy(((struct program *)arg)->client);
}

static bool has_stopped(void *arg)
{
    return mcp_client_stopped(((struct program *)arg)->client);
}

static bool connect_to(struct program *program, const char *url)
{
    const char *version = getenv("MCP_CONFORMANCE_PROTOCOL_VERSION");
    bool old = version && *version && strcmp(version, "2026") < 0;
    AUTOJSON json_t *spec = json_pack("{s:s, s:s}", "name", "server", "url", url);
    AUTOJSON json_t *known = old ? json_pack("{s:s}", "era", "legacy") : NULL;
    struct mcp_client_options options = {
        .loop = program->loop,
        .spec = spec,
        .known = known,
        .http = http_of,
        .grant = mcp_client_auth(program->loop, http_of, program, program->context, spec),
        .on_progress = on_progress,
        .arg = program,
    };
    program->client = mcp_client_new(&options);
    mcp_client_list(program->client, clock_ms() + WAIT_MS);
    loop_run_until(program->loop, has_listed, program, WAIT_MS + 1000);
    return mcp_client_state(program->client) == MCP_READY;
}

static void show_tools(const struct program *program)
{
    size_t index;
    json_t *tool;
    printf("protocol version %s\n", mcp_client_version(program->client));
    json_array_foreach(mcp_client_tools(program->client), index, tool)
    {
        printf("tool %s: %s\n", js_str(tool, "name", ""), js_str(tool, "description", ""));
    }
}

static void stop(struct program *program)
{
    mcp_client_stop(program->client);
    loop_run_until(program->loop, has_stopped, program, STOP_MS);
    mcp_client_destroy(&program->client);
    http_client_destroy(&program->http);
    mcp_client_auth_end();
    json_decref(program->context);
    loop_destroy(&program->loop);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: mcpbus-mcp-client URL\n", stderr);
        return 2;
    }
    const char *scenario = getenv("MCP_CONFORMANCE_SCENARIO");
    const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
    struct program program = {.loop = loop_new(), .scenario = scenario ? scenario : ""};
    if (context && js_parse(context, strlen(context), &program.context, NULL))
        fputs("MCP_CONFORMANCE_CONTEXT is not JSON\n", stderr);
    bool ready = connect_to(&program, argv[1]);
    if (ready) {
        show_tools(&program);
        act(&program);
    } else {
        fprintf(stderr, "%s: %s\n", argv[1], mcp_client_why(program.client));
    }
    stop(&program);
    return ready ? 0 : 1;
}
