#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/worker/mcp_config.h"

static const char *lookup(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "API_KEY") == 0)
        return "key-${user.id}-1"; /* what comes from the environment is filled in no further */
    if (strcmp(name, "PATH") == 0)
        return "/usr/bin";
    if (strcmp(name, "HTTPS_PROXY") == 0)
        return "http://proxy.example:3128";
    if (strncmp(name, "GOOGLE_", 7) == 0)
        return "of-the-client";
    return NULL;
}

static enum err parse(const char *text, struct mcp_config **ret_config, char *why)
{
    return mcp_config_parse(text, strlen(text), lookup, NULL, ret_config, why);
}

static json_t *fill(const char *text, const struct mcp_user *user)
{
    char why[MCP_WHY_SIZE];
    struct mcp_config *config = NULL;
    assert_int_equal(parse(text, &config, why), ERR_OK);
    json_t *servers = mcp_config_servers(config, user, "sign in again", lookup, NULL);
    mcp_config_destroy(&config);
    return servers;
}

static const struct mcp_user alice = {.google_access_token = "ya29.a",
                                      .google_refresh_token = "1//r",
                                      .google_token_expires_at = "1700",
                                      .google_authorized_scopes = "[\"s\"]",
                                      .email = "alice@example.org",
                                      .id = "u1"};

static void holes_are_filled(void **state)
{
    (void)state;
    AUTOJSON json_t *servers =
        fill("{\"mcpServers\":{\"a\":{\"command\":\"run\",\"args\":[\"--id=${user.id}!\"],"
             "\"env\":{\"KEY\":\"${API_KEY}\",\"T\":\"${user.google_access_token}\"}}}}",
             &alice);
    const json_t *a = json_array_get(servers, 0), *env = json_object_get(a, "env");
    assert_string_equal(js_str(a, "name", ""), "a");
    assert_string_equal(json_string_value(json_array_get(json_object_get(a, "args"), 0)),
                        "--id=u1!");
    assert_string_equal(js_str(env, "KEY", ""), "key-${user.id}-1");
    assert_string_equal(js_str(env, "T", ""), "ya29.a");
    assert_string_equal(js_str(env, "PATH", ""), "/usr/bin");
    assert_null(js_str(env, "HOME", NULL));
    assert_int_equal(json_object_size(env), 3);
}

static void the_default_is_google_alone(void **state)
{
    (void)state;
    static const char *const more[] = {"GOOGLE_API_BASE", "HTTPS_PROXY", NULL};
    AUTOFREE char *text = mcp_config_default("/opt/mcpbus-google", more);
    AUTOJSON json_t *servers = fill(text, &alice);
    assert_int_equal(json_array_size(servers), 1);
    const json_t *google = json_array_get(servers, 0), *env = json_object_get(google, "env");
    assert_string_equal(js_str(google, "command", ""), "/opt/mcpbus-google");
    assert_string_equal(js_str(env, "GOOGLE_ACCESS_TOKEN", ""), "ya29.a");
    assert_string_equal(js_str(env, "GOOGLE_CLIENT_SECRET", ""), "of-the-client");
    assert_string_equal(js_str(env, "GOOGLE_AUTHORIZED_SCOPES", ""), "[\"s\"]");
    assert_string_equal(js_str(env, "SESSION_USER_ID", ""), "u1");
    assert_non_null(js_str(env, "GOOGLE_API_BASE", NULL));
    assert_non_null(js_str(env, "HTTPS_PROXY", NULL));
    assert_null(js_str(env, "DRIVE_UPLOAD_DIR", NULL));
}

static void without_google_only_those_servers_are_away(void **state)
{
    (void)state;
    struct mcp_user nobody = {.id = "u2"};
    AUTOJSON json_t *servers =
        fill("{\"mcpServers\":{\"g\":{\"command\":\"x\",\"env\":{\"E\":\"${user.email}\"}},"
             "\"plain\":{\"command\":\"y\",\"env\":{\"I\":\"${user.id}\"}},"
             "\"far\":{\"url\":\"https://example.org/mcp\"}}}",
             &nobody);
    assert_string_equal(js_str(json_array_get(servers, 0), "unavailable", ""), "sign in again");
    assert_string_equal(js_str(json_array_get(servers, 1), "command", ""), "y");
    assert_string_equal(js_str(json_array_get(servers, 2), "url", ""), "https://example.org/mcp");
}

static void servers_with_a_url(void **state)
{
    (void)state;
    AUTOJSON json_t *servers = fill(
        "{\"mcpServers\":{\"far\":{\"type\":\"streamable-http\",\"url\":\"https://h/${user.id}\","
        "\"headers\":{\"Authorization\":\"Bearer ${API_KEY}\",\"X-Mail\":\"${user.email}\"},"
        "\"auth\":{\"type\":\"client_credentials\",\"client_secret\":\"${API_KEY}\"}},"
        "\"near\":{\"type\":\"http\",\"url\":\"http://127.0.0.1:1/mcp\"}}}",
        &alice);
    const json_t *far = json_array_get(servers, 0), *headers = json_object_get(far, "headers");
    assert_string_equal(js_str(far, "url", ""), "https://h/u1");
    assert_string_equal(js_str(headers, "Authorization", ""), "Bearer key-${user.id}-1");
    assert_string_equal(js_str(headers, "X-Mail", ""), "alice@example.org");
    assert_string_equal(js_str(json_object_get(far, "auth"), "client_secret", ""),
                        "key-${user.id}-1");
    const json_t *near = json_array_get(servers, 1);
    assert_int_equal(json_object_size(near), 4);
    assert_string_equal(js_str(near, "url", ""), "http://127.0.0.1:1/mcp");
}

static char *key_for(const char *server, const char *user_id, const char *scopes)
{
    AUTOFREE char *text = mem_printf("{\"mcpServers\":{\"a\":%s}}", server);
    struct mcp_user user = {.google_access_token = "t",
                            .google_refresh_token = "r",
                            .google_token_expires_at = "1",
                            .google_authorized_scopes = scopes,
                            .email = "e",
                            .id = user_id};
    AUTOJSON json_t *servers = fill(text, &user);
    return mem_strdup(js_str(json_array_get(servers, 0), "key", ""));
}

static bool is_shared(const char *server, const char *user_id, const char *scopes)
{
    AUTOFREE char *one = key_for(server, "u1", "[1]");
    AUTOFREE char *other = key_for(server, user_id, scopes);
    assert_true(*one);
    return strcmp(one, other) == 0;
}

static void keys_keep_users_apart(void **state)
{
    (void)state;
    static const char plain[] = "{\"command\":\"x\"}";
    static const char ours[] = "{\"command\":\"/opt/bin/mcpbus-google\",\"env\":{\"A\":"
                               "\"${user.google_access_token}\",\"I\":\"${user.id}\"}}";
    static const char *const theirs[] = {
        "{\"command\":\"x\",\"env\":{\"A\":\"${user.google_access_token}\"}}",
        "{\"command\":\"x\",\"args\":[\"a${user.email}\"]}",
        "{\"command\":\"mcpbus-google${user.id}\"}",
        "{\"url\":\"http://127.0.0.1/${user.id}\"}",
        "{\"url\":\"http://127.0.0.1/\",\"headers\":{\"X\":\"${user.id}\"}}",
    };
    assert_true(is_shared(plain, "u2", "[2]"));
    assert_true(is_shared(ours, "u2", "[1]"));
    assert_false(is_shared(ours, "u2", "[2]"));
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        assert_true(is_shared(theirs[i], "u1", "[1]"));
        assert_false(is_shared(theirs[i], "u2", "[1]"));
    }
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"{", "not JSON"},
        {"[]", "mcpServers"},
        {"{\"mcpServers\":[]}", "mcpServers"},
        {"{\"mcpServers\":{\"a\":1}}", "\"a\""},
        {"{\"mcpServers\":{\"a\":{}}}", "neither command nor url"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"${NOPE}\"}}}", "${NOPE} is not set"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"${user.nope}\"}}}", "${user.nope} is unknown"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"${user.id\"}}}", "without its }"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"x\",\"args\":{}}}}", "args is an array"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"x\",\"env\":{\"A=\":\"\"}}}}", "bad name"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"x\",\"env\":{\"A\":1}}}}", "take texts"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"x\",\"url\":\"http://h/\"}}}", "both"},
        {"{\"mcpServers\":{\"a\":{\"command\":\"x\",\"type\":\"http\"}}}", "\"stdio\""},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"type\":\"stdio\"}}}", "\"http\""},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"type\":\"sse\"}}}", "Streamable HTTP"},
        {"{\"mcpServers\":{\"a\":{\"url\":\"ftp://h/\"}}}", "http or https"},
        {"{\"mcpServers\":{\"a\":{\"url\":1}}}", "take texts"},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"headers\":[]}}}", "headers is an"},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"headers\":{\"Host\":\"\"}}}}",
         "sets itself"},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"headers\":{\"A:\":\"\"}}}}", "bad name"},
        {"{\"mcpServers\":{\"a\":{\"url\":\"http://h/\",\"auth\":{\"type\":\"x\"}}}}", "auth"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[MCP_WHY_SIZE] = "";
        struct mcp_config *config = NULL;
        assert_int_equal(parse(bad[i].text, &config, why), ERR_INVALID);
        assert_null(config);
        assert_non_null(strstr(why, bad[i].word));
    }
}

static void names_without_values(void **state)
{
    (void)state;
    char why[MCP_WHY_SIZE];
    struct mcp_config *config = NULL;
    assert_int_equal(parse("{\"mcpServers\":{\"a\":{\"command\":\"x\",\"env\":{\"A\":\"1\"}},"
                           "\"b\":{\"command\":\"x\",\"env\":{\"A\":\"2\",\"B\":\"3\"}}}}",
                           &config, why),
                     ERR_OK);
    assert_false(mcp_config_needs_google(config));
    AUTOJSON json_t *names = mcp_config_env_names(config);
    AUTOFREE char *text = js_dump(names);
    assert_string_equal(text, "[\"A\",\"B\"]");
    mcp_config_destroy(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_are_filled),
        cmocka_unit_test(the_default_is_google_alone),
        cmocka_unit_test(without_google_only_those_servers_are_away),
        cmocka_unit_test(servers_with_a_url),
        cmocka_unit_test(keys_keep_users_apart),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(names_without_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
