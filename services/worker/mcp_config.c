#include "services/worker/mcp_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_http.h"

enum {
    ARGS_MAX = 128,
    MEMBERS_MAX = 128, /* of env, headers, auth */
    VALUE_MAX = 64 << 10,
    NAME_MAX_BYTES = 64,
    NO_FIELD = -1,
};

static const char *const user_fields[] = {
#define X(field) #field,
    MCP_USER_FIELDS(X)
#undef X
};
enum { USER_FIELDS = sizeof user_fields / sizeof *user_fields };

static const char *const base_env[] = {"PATH", "HOME", "LANG", "TMPDIR"};

/* A value with holes: literal text, then perhaps a field of the user, and so on. */
struct piece {
    char *literal;
    int field;
    struct piece *next;
};

struct value {
    char *key; /* in a map; else NULL */
    struct piece *pieces;
};

struct map {
    struct value values[MEMBERS_MAX];
    size_t count;
};

struct server {
    char *name;
    bool remote; /* it has a url; else a command */
    struct value command, args[ARGS_MAX];
    size_t arg_count;
    struct map env;
    struct value url;
    struct map headers, auth;
    bool needs_google;
};

struct mcp_config {
    struct server *servers[MCP_SERVERS_MAX];
    size_t count;
};

/* What parsing needs at every depth. */
struct reader {
    mcp_lookup_fn *lookup;
    void *arg;
    struct server *server;
    char *why;
};

__attribute__((format(printf, 2, 3))) static enum err refuse(struct reader *reader, const char *fmt,
                                                             ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(reader->why, MCP_WHY_SIZE, fmt, args);
    va_end(args);
    return ERR_INVALID;
}

static void value_fini(struct value *value)
{
    for (struct piece *piece = value->pieces, *next; piece; piece = next) {
        next = piece->next;
        mem_free_secret(&piece->literal);
        free(piece);
    }
    free(value->key);
}

static void map_fini(struct map *map)
{
    for (size_t i = 0; i < map->count; i++)
        value_fini(&map->values[i]);
}

static void server_destroy(struct server *server)
{
    value_fini(&server->command);
    value_fini(&server->url);
    for (size_t i = 0; i < server->arg_count; i++)
        value_fini(&server->args[i]);
    map_fini(&server->env);
    map_fini(&server->headers);
    map_fini(&server->auth);
    free(server->name);
    free(server);
}

void mcp_config_destroy(struct mcp_config **config_p)
{
    struct mcp_config *config = *config_p;
    if (!config)
        return;
    *config_p = NULL;
    for (size_t i = 0; i < config->count; i++)
        server_destroy(config->servers[i]);
    free(config);
}

static int user_field(const char *name)
{
    for (int i = 0; i < USER_FIELDS; i++)
        if (strcmp(name, user_fields[i]) == 0)
            return i;
    return NO_FIELD;
}

static struct piece *add_piece(struct piece **last, const char *literal, size_t len, int field)
{
    struct piece *piece = mem_alloc(sizeof *piece);
    piece->literal = mem_strndup(literal, len);
    piece->field = field;
    *last = piece;
    return piece;
}

/* `name` is what stood between ${ and }. */
static enum err add_hole(struct reader *reader, const char *name, struct piece **last)
{
    static const char user[] = "user.";
    if (strncmp(name, user, sizeof user - 1) == 0) {
        int field = user_field(name + sizeof user - 1);
        if (field == NO_FIELD)
            return refuse(reader, "server \"%s\": ${%s} is unknown", reader->server->name, name);
        add_piece(last, "", 0, field);
        if (strcmp(user_fields[field], "id") != 0)
            reader->server->needs_google = true;
        return ERR_OK;
    }
    const char *text = reader->lookup(reader->arg, name);
    if (!text)
        return refuse(reader, "server \"%s\": ${%s} is not set", reader->server->name, name);
    add_piece(last, text, strlen(text), NO_FIELD);
    return ERR_OK;
}

static enum err read_value(struct reader *reader, const json_t *json, struct value *value)
{
    if (!json_is_string(json) || json_string_length(json) > VALUE_MAX)
        return refuse(reader, "server \"%s\": command, args, env, url, headers and auth take texts",
                      reader->server->name);
    const char *text = json_string_value(json), *hole;
    struct piece **last = &value->pieces;
    while ((hole = strstr(text, "${"))) {
        const char *end = strchr(hole, '}');
        if (!end || end - hole > NAME_MAX_BYTES)
            return refuse(reader, "server \"%s\": a ${ without its }", reader->server->name);
        last = &add_piece(last, text, (size_t)(hole - text), NO_FIELD)->next;
        AUTOFREE char *name = mem_strndup(hole + 2, (size_t)(end - hole - 2));
        enum err err = add_hole(reader, name, last);
        if (err)
            return err;
        last = &(*last)->next;
        text = end + 1;
    }
    add_piece(last, text, strlen(text), NO_FIELD);
    return ERR_OK;
}

static enum err read_args(struct reader *reader, const json_t *args)
{
    size_t index;
    json_t *arg;
    if (args && !json_is_array(args))
        return refuse(reader, "server \"%s\": args is an array", reader->server->name);
    json_array_foreach(args, index, arg)
    {
        if (index == ARGS_MAX)
            return refuse(reader, "server \"%s\": more than %d args", reader->server->name,
                          ARGS_MAX);
        struct value *value = &reader->server->args[reader->server->arg_count++];
        enum err err = read_value(reader, arg, value);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_map(struct reader *reader, const json_t *server, const char *what,
                         struct map *map)
{
    const char *key;
    json_t *json, *object = json_object_get(server, what);
    if (object && !json_is_object(object))
        return refuse(reader, "server \"%s\": %s is an object", reader->server->name, what);
    json_object_foreach(object, key, json)
    {
        if (map->count == MEMBERS_MAX || !*key || strpbrk(key, "=:"))
            return refuse(reader, "server \"%s\": %s has a bad name, or more than %d",
                          reader->server->name, what, MEMBERS_MAX);
        struct value *value = &map->values[map->count++];
        value->key = mem_strdup(key);
        enum err err = read_value(reader, json, value);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_local(struct reader *reader, const json_t *json)
{
    struct server *server = reader->server;
    enum err err = read_value(reader, json_object_get(json, "command"), &server->command);
    if (!err)
        err = read_args(reader, json_object_get(json, "args"));
    return err ? err : read_map(reader, json, "env", &server->env);
}

static json_t *remote_json(const struct server *server, const struct mcp_user *user);

/* What can be seen before there is a user: not a url that depends on one. */
static enum err check_remote(struct reader *reader)
{
    static const struct mcp_user nobody = {.id = ""};
    char why[MCP_WHY_SIZE_MAX];
    for (const struct piece *piece = reader->server->url.pieces; piece; piece = piece->next)
        if (piece->field != NO_FIELD)
            return ERR_OK;
    AUTOJSON json_t *spec = remote_json(reader->server, &nobody);
    if (mcp_http_check(spec, why))
        return refuse(reader, "server \"%s\": %s", reader->server->name, why);
    return ERR_OK;
}

static enum err read_remote(struct reader *reader, const json_t *json)
{
    struct server *server = reader->server;
    server->remote = true;
    enum err err = read_value(reader, json_object_get(json, "url"), &server->url);
    if (!err)
        err = read_map(reader, json, "headers", &server->headers);
    if (!err)
        err = read_map(reader, json, "auth", &server->auth);
    return err ? err : check_remote(reader);
}

static bool is_one_of(const char *text, const char *const *texts)
{
    for (; *texts; texts++)
        if (strcmp(text, *texts) == 0)
            return true;
    return false;
}

static enum err read_server(struct reader *reader, const json_t *json)
{
    static const char *const remote_types[] = {"http", "streamable-http", "streamableHttp", NULL};
    const char *name = reader->server->name;
    if (!json_is_object(json))
        return refuse(reader, "server \"%s\" is not an object", name);
    bool command = json_object_get(json, "command"), url = json_object_get(json, "url");
    if (command == url)
        return refuse(reader, "server \"%s\" has %s command %s url", name, url ? "both" : "neither",
                      url ? "and" : "nor");
    const json_t *type = json_object_get(json, "type");
    const char *text = json_is_string(type) ? json_string_value(type) : "";
    if (strcmp(text, "sse") == 0)
        return refuse(reader,
                      "server \"%s\": type \"sse\", the transport of 2024, is not supported: give "
                      "the url of its Streamable HTTP endpoint, and type \"http\"",
                      name);
    if (type && (url ? !is_one_of(text, remote_types) : strcmp(text, "stdio") != 0))
        return refuse(reader, "server \"%s\": the type of one with a %s is \"%s\"", name,
                      url ? "url" : "command", url ? "http" : "stdio");
    return url ? read_remote(reader, json) : read_local(reader, json);
}

static enum err read_servers(struct reader *reader, json_t *servers, struct mcp_config *config)
{
    const char *name;
    json_t *json;
    json_object_foreach(servers, name, json)
    {
        if (config->count == MCP_SERVERS_MAX || !*name || strlen(name) > NAME_MAX_BYTES)
            return refuse(reader, "at most %d servers, with names of 1 to %d bytes",
                          MCP_SERVERS_MAX, NAME_MAX_BYTES);
        struct server *server = mem_alloc(sizeof *server);
        server->name = mem_strdup(name);
        config->servers[config->count++] = server;
        reader->server = server;
        enum err err = read_server(reader, json);
        if (err)
            return err;
    }
    return ERR_OK;
}

enum err mcp_config_parse(const char *text, size_t len, mcp_lookup_fn *lookup, void *arg,
                          struct mcp_config **ret_config, char ret_why[MCP_WHY_SIZE])
{
    struct reader reader = {.lookup = lookup, .arg = arg, .why = ret_why};
    json_t *json = NULL;
    char why[JS_WHY_SIZE];
    if (js_parse(text, len, &json, why))
        return refuse(&reader, "not JSON: %s", why);
    struct mcp_config *config = mem_alloc(sizeof *config);
    json_t *servers = json_object_get(json, "mcpServers");
    enum err err = json_is_object(servers) ? read_servers(&reader, servers, config)
                                           : refuse(&reader, "no \"mcpServers\" object");
    json_decref(json);
    if (err)
        mcp_config_destroy(&config);
    else
        *ret_config = config;
    return err;
}

char *mcp_config_default(const char *command, const char *const *more)
{
    AUTOJSON json_t *env = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "GOOGLE_ACCESS_TOKEN", "${user.google_access_token}",
        "GOOGLE_REFRESH_TOKEN", "${user.google_refresh_token}", "GOOGLE_TOKEN_EXPIRES_AT",
        "${user.google_token_expires_at}", "GOOGLE_CLIENT_ID", "${GOOGLE_CLIENT_ID}",
        "GOOGLE_CLIENT_SECRET", "${GOOGLE_CLIENT_SECRET}", "SESSION_USER_ID", "${user.id}",
        "GOOGLE_AUTHORIZED_SCOPES", "${user.google_authorized_scopes}");
    for (; *more; more++)
        json_object_set_new(env, *more, json_sprintf("${%s}", *more));
    AUTOJSON json_t *config =
        json_pack("{s:{s:{s:s, s:O}}}", "mcpServers", "google", "command", command, "env", env);
    return js_dump(config);
}

size_t mcp_config_count(const struct mcp_config *config)
{
    return config->count;
}

bool mcp_config_needs_google(const struct mcp_config *config)
{
    for (size_t i = 0; i < config->count; i++)
        if (config->servers[i]->needs_google)
            return true;
    return false;
}

static const char *field_text(const struct mcp_user *user, int field)
{
    const char *const texts[] = {
#define X(name) user->name,
        MCP_USER_FIELDS(X)
#undef X
    };
    return texts[field] ? texts[field] : "";
}

static json_t *fill(const struct value *value, const struct mcp_user *user)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    for (const struct piece *piece = value->pieces; piece; piece = piece->next) {
        buf_add_str(&text, piece->literal);
        if (piece->field != NO_FIELD)
            buf_add_str(&text, field_text(user, piece->field));
    }
    json_t *json = json_string(buf_text(&text));
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_fini(&text);
    return json ? json : json_string("");
}

static json_t *unavailable(const struct server *server, const char *why)
{
    return json_pack("{s:s, s:s}", "name", server->name, "unavailable", why);
}

static void fill_map(const struct map *map, const struct mcp_user *user, json_t *object)
{
    for (size_t i = 0; i < map->count; i++)
        json_object_set_new(object, map->values[i].key, fill(&map->values[i], user));
}

static json_t *remote_json(const struct server *server, const struct mcp_user *user)
{
    json_t *headers = json_object();
    fill_map(&server->headers, user, headers);
    json_t *json = json_pack("{s:s, s:o, s:o}", "name", server->name, "url",
                             fill(&server->url, user), "headers", headers);
    if (server->auth.count) {
        json_t *auth = json_object();
        fill_map(&server->auth, user, auth);
        json_object_set_new(json, "auth", auth);
    }
    return json;
}

static json_t *local_json(const struct server *server, const struct mcp_user *user,
                          const json_t *base)
{
    json_t *args = json_array(), *env = json_deep_copy(base);
    for (size_t i = 0; i < server->arg_count; i++)
        json_array_append_new(args, fill(&server->args[i], user));
    fill_map(&server->env, user, env);
    return json_pack("{s:s, s:o, s:o, s:o}", "name", server->name, "command",
                     fill(&server->command, user), "args", args, "env", env);
}

static void note_fields(const struct value *value, bool used[USER_FIELDS])
{
    for (const struct piece *piece = value->pieces; piece; piece = piece->next)
        if (piece->field != NO_FIELD)
            used[piece->field] = true;
}

static bool names_user(const struct server *server)
{
    bool used[USER_FIELDS] = {false}, any = false;
    const struct map *const maps[] = {&server->env, &server->headers, &server->auth};
    note_fields(&server->command, used);
    note_fields(&server->url, used);
    for (size_t i = 0; i < server->arg_count; i++)
        note_fields(&server->args[i], used);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        for (size_t j = 0; j < maps[i]->count; j++)
            note_fields(&maps[i]->values[j], used);
    for (size_t i = 0; i < USER_FIELDS; i++)
        any = any || used[i];
    return any;
}

/* Of our own server it is known that its tools depend on the scopes alone. */
static bool is_ours(const struct server *server)
{
    const struct piece *piece = server->command.pieces;
    if (!piece || piece->next || piece->field != NO_FIELD)
        return false;
    const char *slash = strrchr(piece->literal, '/');
    return strcmp(slash ? slash + 1 : piece->literal, "mcpbus-google") == 0;
}

/* Whoever gets the same key is shown the same tools. The configuration is not part of it: it stays
 * the same as long as what is remembered, as this process lives. */
static json_t *key_of(const struct server *server, const struct mcp_user *user)
{
    const char *scopes = user->google_authorized_scopes ? user->google_authorized_scopes : "";
    AUTOJSON json_t *parts = json_pack("[s]", server->name);
    if (names_user(server))
        json_array_append_new(parts, json_string(scopes));
    if (names_user(server) && !is_ours(server))
        json_array_append_new(parts, json_string(user->id));
    AUTOFREE char *text = js_dump(parts);
    return json_string(text);
}

json_t *mcp_config_servers(const struct mcp_config *config, const struct mcp_user *user,
                           const char *why_no_google, mcp_lookup_fn *lookup, void *arg)
{
    json_t *servers = json_array();
    AUTOJSON json_t *base = json_object();
    for (size_t i = 0; i < sizeof base_env / sizeof *base_env; i++) {
        const char *text = lookup(arg, base_env[i]);
        if (text)
            json_object_set_new(base, base_env[i], json_string(text));
    }
    for (size_t i = 0; i < config->count; i++) {
        const struct server *server = config->servers[i];
        json_t *json;
        if (server->needs_google && !user->google_access_token) {
            json_array_append_new(servers, unavailable(server, why_no_google));
            continue;
        }
        json = server->remote ? remote_json(server, user) : local_json(server, user, base);
        json_object_set_new(json, "key", key_of(server, user));
        json_array_append_new(servers, json);
    }
    return servers;
}

json_t *mcp_config_env_names(const struct mcp_config *config)
{
    AUTOJSON json_t *seen = json_object();
    json_t *names = json_array();
    for (size_t i = 0; i < config->count; i++)
        for (size_t j = 0; j < config->servers[i]->env.count; j++) {
            const char *key = config->servers[i]->env.values[j].key;
            if (!json_object_get(seen, key))
                json_array_append_new(names, json_string(key));
            json_object_set_new(seen, key, json_true());
        }
    return names;
}
