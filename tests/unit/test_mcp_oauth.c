/* Rounds of authorization against a small authorization server that does what its path says. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth.h"
#include "tests/unit/listener.h"

enum { REQUEST_SIZE = 16384, WAIT_MS = 30000 };

/* The server */

static struct listener listener;
static int port;
static atomic_int tokens;               /* that were given */
static atomic_int documents;            /* that were asked for */
static atomic_int held;                 /* clients of /hang */
static char last_request[REQUEST_SIZE]; /* of a token endpoint */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void say_body(int fd, const char *head, const char *body)
{
    AUTOFREE char *out = mem_printf("HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n\r\n%s",
                                    head, strlen(body), body);
    (void)!send(fd, out, strlen(out), MSG_NOSIGNAL);
}

static bool read_request(int fd, char *request)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, request + len, REQUEST_SIZE - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        request[len] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "Content-Length: ");
        if (end &&
            len >= (size_t)(end + 4 - request) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
}

/* NAME of "/….well-known/…/NAME", "/token/NAME". */
static void name_of(const char *request, char *ret_name)
{
    const char *path = strchr(request, ' ') + 1;
    size_t len = strcspn(path, " "), start = len;
    while (start && path[start - 1] != '/')
        start--;
    snprintf(ret_name, 32, "%.*s", (int)(len - start), path + start);
}

static void give_token(int fd, const char *request, const char *name)
{
    bool proof = strcasestr(request, "\r\nDPoP: ");
    pthread_mutex_lock(&lock);
    snprintf(last_request, sizeof last_request, "%s", request);
    pthread_mutex_unlock(&lock);
    if (!strcmp(name, "nonce") && tokens == 0) {
        tokens++;
        say_body(fd, "400 Nonce\r\nDPoP-Nonce: n-1", "{\"error\": \"use_dpop_nonce\"}");
        return;
    }
    if (!strcmp(name, "flaky") && ++tokens < 3) {
        say_body(fd, tokens == 1 ? "503 Soon" : "429 Slower", "{}");
        return;
    }
    if (!strcmp(name, "broken")) {
        tokens++;
        say_body(fd, "500 No", "{}");
        return;
    }
    if (strstr(request, "grant_type=refresh_token") && strstr(request, "dead")) {
        say_body(fd, "400 No", "{\"error\": \"invalid_grant\"}");
        return;
    }
    AUTOFREE char *body =
        mem_printf("{\"access_token\": \"t-%d\", \"token_type\": \"%s\", \"expires_in\": %d%s}",
                   ++tokens, proof ? "DPoP" : "Bearer", !strcmp(name, "short") ? 1 : 3600,
                   !strcmp(name, "dead") ? ", \"refresh_token\": \"dead\"" : "");
    say_body(fd, "200 OK", body);
}

static void answer(int fd, const char *request)
{
    char name[32];
    name_of(request, name);
    AUTOFREE char *origin = mem_printf("http://127.0.0.1:%d", port);
    AUTOFREE char *resource =
        mem_printf("{\"resource\": \"%s/%s\", \"authorization_servers\": [\"%s/%s\"]}", origin,
                   name, origin, name);
    AUTOFREE char *issuer = mem_printf(
        "{\"issuer\": \"%s/%s\", \"token_endpoint\": \"%s/token/%s\"}", origin, name, origin, name);
    if (!strcmp(name, "hang")) {
        held++;
        (void)!recv(fd, (char[1]){0}, 1, 0);
        held--;
    } else if (strstr(request, "oauth-protected-resource")) {
        documents++;
        say_body(fd, "200 OK", resource);
    } else if (strstr(request, "oauth-authorization-server")) {
        documents++;
        say_body(fd, "200 OK", issuer);
    } else {
        give_token(fd, request, name);
    }
}

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *request = mem_alloc(REQUEST_SIZE);
    while (read_request(fd, request))
        answer(fd, request);
    close(fd);
    free(request);
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    int error = listener_start(&listener, serve_connection);
    port = listener.port;
    return error;
}

/* Had the last request of a token endpoint that part? */
static bool was_asked(const char *part)
{
    pthread_mutex_lock(&lock);
    bool found = strstr(last_request, part);
    pthread_mutex_unlock(&lock);
    return found;
}

/* The client */

struct client {
    struct loop *loop;
    struct http_client *http;
    struct mcp_oauth *oauth;
    char url[128];
    bool done;
    char why[256];
};

static void on_done(void *arg, const char *why)
{
    struct client *client = arg;
    client->done = true;
    snprintf(client->why, sizeof client->why, "%s", why ? why : "");
}

static void open_client(struct client *client, const char *name, const char *more,
                        const struct mcp_oauth_grant *grant)
{
    char why[MCP_OAUTH_WHY_SIZE];
    *client = (struct client){.loop = loop_new()};
    client->http = http_client_new(client->loop, NULL);
    snprintf(client->url, sizeof client->url, "http://127.0.0.1:%d/%s", port, name);
    AUTOJSON json_t *auth = json_pack("{s:s, s:s, s:s}", "type", "client_credentials", "client_id",
                                      "me", "client_secret", "secret");
    AUTOJSON json_t *added = more ? json_loads(more, 0, NULL) : json_object();
    json_object_update(auth, added);
    const struct mcp_oauth_options options = {.loop = client->loop,
                                              .http = client->http,
                                              .server_url = client->url,
                                              .auth = grant ? NULL : auth,
                                              .grant = grant};
    assert_int_equal(mcp_oauth_new(&options, &client->oauth, why), ERR_OK);
    tokens = documents = 0;
}

static void close_client(struct client *client)
{
    mcp_oauth_destroy(&client->oauth);
    http_client_destroy(&client->http);
    loop_destroy(&client->loop);
}

static void refuse(struct client *client, int status, const char *challenge, unsigned attempt)
{
    const struct mcp_http_auth *auth = mcp_oauth_http_auth(client->oauth);
    const struct http_answer answered = {.status = status,
                                         .body = "",
                                         .content_type = "",
                                         .should_retry = "",
                                         .www_authenticate = challenge,
                                         .session_id = "",
                                         .location = "",
                                         .dpop_nonce = ""};
    client->done = false;
    auth->refused(auth->arg, &answered, attempt, on_done, client);
    assert_false(client->done); /* only ever from the loop */
}

static bool is_done(void *arg)
{
    return ((struct client *)arg)->done;
}

/* One demand and its outcome: "" when there is something new to send. */
static const char *demand(struct client *client, int status, const char *challenge,
                          unsigned attempt)
{
    refuse(client, status, challenge, attempt);
    assert_true(loop_run_until(client->loop, is_done, client, WAIT_MS));
    return client->why;
}

/* The n-th line of a request now, "" when there is none; of a static buffer. */
static const char *line(struct client *client, size_t n)
{
    static char text[4096];
    const struct mcp_http_auth *auth = mcp_oauth_http_auth(client->oauth);
    AUTOJSON json_t *lines = json_array();
    auth->lines(auth->arg, "POST", client->url, lines);
    const char *found = json_string_value(json_array_get(lines, n));
    snprintf(text, sizeof text, "%s", found ? found : "");
    return text;
}

static void a_token_is_got_on_demand(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "plain", NULL, NULL);
    assert_string_equal(line(&client, 0), "");
    assert_string_equal(demand(&client, 401, "Bearer scope=\"a\"", 1), "");
    assert_string_equal(line(&client, 0), "Authorization: Bearer t-1");
    assert_string_equal(line(&client, 1), "");
    assert_true(was_asked("scope=a&resource=http%3A%2F%2F127.0.0.1"));
    /* More scopes join those that there were; the same again do not help. */
    assert_string_equal(demand(&client, 403, "Bearer scope=\"b\", error=insufficient_scope", 1),
                        "");
    assert_true(was_asked("scope=a%20b&"));
    assert_non_null(strstr(
        demand(&client, 403, "Bearer scope=\"b a\", error=insufficient_scope", 2), "already"));
    assert_non_null(strstr(demand(&client, 403, "Bearer error=\"other\"", 1), "denies"));
    assert_non_null(strstr(demand(&client, 401, "Bearer", 2), "does not accept"));
    assert_non_null(strstr(demand(&client, 401, "Bearer", 99), "again and again"));
    close_client(&client);
}

static void what_passes_is_waited_for(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "flaky", NULL, NULL);
    assert_string_equal(demand(&client, 401, "Bearer", 1), "");
    assert_string_equal(line(&client, 0), "Authorization: Bearer t-4");
    close_client(&client);
    open_client(&client, "broken", NULL, NULL);
    assert_non_null(strstr(demand(&client, 401, "Bearer", 1), "HTTP status 500"));
    assert_int_equal(tokens, 3);
    refuse(&client, 401, "Bearer", 1); /* and it can be left while it waits */
    loop_run_until(client.loop, is_done, &client, 50);
    close_client(&client);
}

static bool is_renewed(void *arg)
{
    return strcmp(line(arg, 0), "Authorization: Bearer t-1") != 0;
}

static void a_token_is_renewed_before_its_end(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "short", NULL, NULL);
    assert_string_equal(demand(&client, 401, "Bearer", 1), "");
    assert_string_equal(line(&client, 0), "Authorization: Bearer t-1");
    assert_true(loop_run_until(client.loop, is_renewed, &client, WAIT_MS));
    assert_true(tokens >= 2);
    assert_int_equal(documents, 2);
    close_client(&client);
}

static void a_dead_refresh_token_gives_way(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "dead", NULL, NULL);
    assert_string_equal(demand(&client, 401, "Bearer", 1), "");
    assert_string_equal(demand(&client, 401, "Bearer", 1), "");
    assert_string_equal(line(&client, 0), "Authorization: Bearer t-2");
    assert_true(was_asked("grant_type=client_credentials"));
    close_client(&client);
}

static void proofs_go_with_a_bound_token(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "nonce", NULL, NULL);
    assert_string_equal(demand(&client, 401, "DPoP", 1), "");
    assert_string_equal(line(&client, 0), "Authorization: DPoP t-2");
    AUTOFREE char *first = mem_strdup(line(&client, 1));
    assert_int_equal(strncmp(first, "DPoP: ey", 8), 0);
    assert_string_not_equal(line(&client, 1), first);
    close_client(&client);
}

static void a_configured_place_is_not_looked_for(void **state)
{
    (void)state;
    struct client client;
    AUTOFREE char *more =
        mem_printf("{\"token_url\": \"http://127.0.0.1:%d/token/x\", \"scope\": \"a\"}", port);
    open_client(&client, "elsewhere", more, NULL);
    assert_string_equal(demand(&client, 401, "Bearer scope=\"b\"", 1), "");
    assert_int_equal(documents, 0);
    assert_true(was_asked("scope=a&"));
    assert_non_null(strstr(demand(&client, 403, "Bearer scope=\"b\", error=insufficient_scope", 2),
                           "more scopes"));
    close_client(&client);
}

static bool is_held(void *arg)
{
    (void)arg;
    return held > 0;
}

static bool is_let_go(void *arg)
{
    (void)arg;
    return held == 0;
}

/* Wherever a round is, it can be left. */
static void a_round_ends_with_its_client(void **state)
{
    (void)state;
    struct client client;
    open_client(&client, "hang", NULL, NULL);
    refuse(&client, 401, "Bearer", 1);
    assert_true(loop_run_until(client.loop, is_held, NULL, WAIT_MS));
    mcp_oauth_destroy(&client.oauth);
    assert_true(loop_run_until(client.loop, is_let_go, NULL, WAIT_MS));
    assert_false(client.done);
    close_client(&client);

    open_client(&client, "plain", NULL, NULL);
    refuse(&client, 403, "Bearer", 1); /* refused at once, told later */
    const struct mcp_http_auth *auth = mcp_oauth_http_auth(client.oauth);
    auth->cancel(auth->arg);
    assert_false(loop_run_until(client.loop, is_done, &client, 20));
    close_client(&client);
}

static unsigned started, cancelled;

static void start_grant(void *arg, struct mcp_oauth *oauth, const struct mcp_oauth_site *site,
                        const char *scope)
{
    started++;
    assert_non_null(site->resource);
    assert_null(scope);
    if (arg)
        mcp_oauth_give_up(oauth, "nobody is at home");
}

static void cancel_grant(void *arg)
{
    (void)arg;
    cancelled++;
}

static void a_grant_of_another_kind(void **state)
{
    (void)state;
    struct client client;
    struct mcp_oauth_grant grant = {.start = start_grant, .cancel = cancel_grant, .arg = "give up"};
    started = cancelled = 0;
    open_client(&client, "plain", NULL, &grant);
    assert_string_equal(demand(&client, 401, "Bearer", 1),
                        "authorization failed: nobody is at home");
    close_client(&client);
    assert_int_equal(cancelled, 0);

    grant.arg = NULL;
    open_client(&client, "plain", NULL, &grant);
    refuse(&client, 401, "Bearer", 1);
    loop_run_until(client.loop, is_done, &client, 100);
    while (started < 2)
        loop_run_until(client.loop, is_done, &client, 20);
    close_client(&client);
    assert_int_equal(cancelled, 1);
}

static void assert_refused(const char *auth_text, const char *url, const char *part)
{
    char why[MCP_OAUTH_WHY_SIZE] = "";
    AUTOJSON json_t *auth = json_loads(auth_text, JSON_DECODE_ANY, NULL);
    assert_int_equal(mcp_oauth_check(auth, url, why), ERR_INVALID);
    assert_non_null(strstr(why, part));
    assert_null(strstr(why, "SECRET"));
}

static void configurations_are_checked(void **state)
{
    (void)state;
    const char *url = "https://a.example/mcp";
#define CC "{\"type\": \"client_credentials\", \"client_id\": \"me\""
    char why[MCP_OAUTH_WHY_SIZE];
    AUTOJSON json_t *good = json_loads(CC ", \"client_secret\": \"s\", \"issuer\": "
                                          "\"http://127.0.0.1:1/x\"}",
                                       0, NULL);
    assert_int_equal(mcp_oauth_check(good, url, why), ERR_OK);
    assert_refused("[]", url, "object");
    assert_refused("{\"type\": \"password\"}", url, "type");
    assert_refused("{\"type\": \"client_credentials\", \"client_secret\": \"SECRET\"}", url,
                   "client_id");
    assert_refused(CC "}", url, "either");
    assert_refused(CC ", \"client_secret\": \"SECRET\", \"private_key\": \"SECRET\"}", url,
                   "either");
    assert_refused(CC ", \"private_key\": \"SECRET\"}", url, "no PEM key");
    assert_refused(CC ", \"client_secret\": \"SECRET\", \"secret\": \"SECRET\"}", url,
                   "\"secret\"");
    assert_refused(CC ", \"client_secret\": [\"SECRET\"]}", url, "text");
    assert_refused(CC ", \"client_secret\": \"SECRET\", \"scope\": \"a  b\"}", url, "scope");
    assert_refused(CC ", \"client_secret\": \"SECRET\", \"token_url\": \"http://b.example/\"}", url,
                   "token_url");
    assert_refused(CC ", \"client_secret\": \"SECRET\"}", "http://a.example/mcp", "https");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_got_on_demand),
        cmocka_unit_test(what_passes_is_waited_for),
        cmocka_unit_test(a_token_is_renewed_before_its_end),
        cmocka_unit_test(a_dead_refresh_token_gives_way),
        cmocka_unit_test(proofs_go_with_a_bound_token),
        cmocka_unit_test(a_configured_place_is_not_looked_for),
        cmocka_unit_test(a_round_ends_with_its_client),
        cmocka_unit_test(a_grant_of_another_kind),
        cmocka_unit_test(configurations_are_checked),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
