#include "tests/unit/unit.h"

#include "libcommon/js.h"
#include "libcommon/crypto.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_token.h"

static const char *const fields[] = {"grant_type", "client_credentials", "scope", NULL, "x", "a b",
                                     NULL};

static bool has_header(const struct mcp_token_request *request, const char *line)
{
    for (size_t i = 0; i < MCP_TOKEN_HEADERS && request->headers[i]; i++)
        if (strcmp(request->headers[i], line) == 0)
            return true;
    return false;
}

static json_t *site_with(const char *method)
{
    json_t *site = json_pack("{s:s, s:s}", "issuer", "https://as.example", "token_endpoint",
                             "https://as.example/token");
    if (method)
        json_object_set_new(site, "token_endpoint_auth_methods_supported",
                            json_pack("[s]", method));
    return site;
}

static enum err make(const char *method, const struct mcp_oauth_client *client,
                     struct mcp_token_request *request)
{
    char why[MCP_OAUTH_WHY_SIZE];
    AUTOJSON json_t *site = site_with(method);
    *request = (struct mcp_token_request){0};
    return mcp_token_request_make(site, client, fields, NULL, NULL, request, why);
}

static void a_secret_goes_where_the_server_wants_it(void **state)
{
    (void)state;
    struct mcp_oauth_client client = {.id = "a:b", .secret = "s +&="};
    struct mcp_token_request request;
    static const char *const basic[] = {NULL, "client_secret_basic"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(make(basic[i], &client, &request), ERR_OK);
        /* base64 of "a%3Ab:s%20%2B%26%3D" */
        assert_true(has_header(&request, "Authorization: Basic YSUzQWI6cyUyMCUyQiUyNiUzRA=="));
        assert_string_equal(request.body, "grant_type=client_credentials&x=a%20b");
        mcp_token_request_fini(&request);
    }
    assert_int_equal(make("client_secret_post", &client, &request), ERR_OK);
    assert_string_equal(request.body, "grant_type=client_credentials&x=a%20b&client_id=a%3Ab"
                                      "&client_secret=s%20%2B%26%3D");
    mcp_token_request_fini(&request);
    assert_int_equal(make("none", &client, &request), ERR_OK);
    assert_string_equal(request.body, "grant_type=client_credentials&x=a%20b&client_id=a%3Ab");
    mcp_token_request_fini(&request);
    assert_int_equal(make("private_key_jwt", &client, &request), ERR_DENIED);
    assert_int_equal(make("tls_client_auth", &client, &request), ERR_DENIED);
}

static void a_key_signs_for_one_issuer(void **state)
{
    (void)state;
    struct mcp_oauth_client client = {.id = "me", .key = crypto_key_new()};
    struct mcp_token_request request;
    assert_int_equal(make("private_key_jwt", &client, &request), ERR_OK);
    const char *jws = strstr(request.body, "client_assertion=");
    assert_non_null(jws);
    const char *middle = strchr(jws, '.') + 1;
    AUTOFREE uint8_t *text = NULL;
    size_t len;
    AUTOJSON json_t *claims = NULL;
    assert_int_equal(crypto_base64url_decode(middle, strcspn(middle, "."), &text, &len), ERR_OK);
    assert_int_equal(js_parse((char *)text, len, &claims, NULL), ERR_OK);
    assert_string_equal(js_str(claims, "iss", ""), "me");
    assert_string_equal(js_str(claims, "sub", ""), "me");
    assert_string_equal(js_str(claims, "aud", ""), "https://as.example");
    assert_int_equal(js_int(claims, "exp", 0) - js_int(claims, "iat", 0), 120);
    mcp_token_request_fini(&request);
    /* The key's owner never falls back to saying only who it is. */
    assert_int_equal(make("none", &client, &request), ERR_DENIED);
    crypto_key_destroy(&client.key);
}

static enum err read_tokens(int status, const char *body, struct mcp_tokens *tokens)
{
    char why[MCP_OAUTH_WHY_SIZE] = "", code[MCP_OAUTH_CODE_SIZE];
    *tokens = (struct mcp_tokens){0};
    enum err err = mcp_tokens_read(status, body, strlen(body), 1000, tokens, why, code);
    assert_true(!tokens->access == (err != ERR_OK));
    assert_null(strstr(why, "SECRET"));
    return err;
}

static void tokens_are_read(void **state)
{
    (void)state;
    struct mcp_tokens tokens;
    assert_int_equal(
        read_tokens(200,
                    "{\"access_token\": \"t\", \"token_type\": \"bearer\", "
                    "\"expires_in\": 3600, \"refresh_token\": \"r\", \"scope\": \"a\"}",
                    &tokens),
        ERR_OK);
    assert_string_equal(tokens.access, "t");
    assert_string_equal(tokens.refresh, "r");
    assert_false(tokens.dpop);
    assert_int_equal(tokens.renew_at, 1000 + 3570 * 1000);
    mcp_tokens_fini(&tokens);
    assert_int_equal(read_tokens(200,
                                 "{\"access_token\": \"t\", \"token_type\": \"DPoP\", "
                                 "\"expires_in\": \"8\", \"refresh_token\": \"r r\"}",
                                 &tokens),
                     ERR_OK);
    assert_true(tokens.dpop);
    assert_null(tokens.refresh);
    assert_int_equal(tokens.renew_at, 1000 + 6 * 1000);
    mcp_tokens_fini(&tokens);
    assert_int_equal(read_tokens(200,
                                 "{\"access_token\": \"t\", \"token_type\": \"Bearer\", "
                                 "\"expires_in\": 9223372036854775807}",
                                 &tokens),
                     ERR_OK);
    assert_true(tokens.renew_at > 0);
    mcp_tokens_fini(&tokens);
}

static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    struct mcp_tokens tokens;
    static const char *const bad[] = {
        "",
        "SECRET",
        "[]",
        "{\"access_token\": \"\", \"token_type\": \"Bearer\"}",
        "{\"access_token\": \"SECRET\"}",
        "{\"access_token\": \"SECRET\", \"token_type\": \"mac\"}",
        "{\"access_token\": \"SECRET\\r\\nX: y\", \"token_type\": \"Bearer\"}",
        "{\"access_token\": \"SECRET\xc3\xa4\", \"token_type\": \"Bearer\"}",
        "{\"access_token\": [\"SECRET\"], \"token_type\": \"Bearer\"}",
        "{\"access_token\": \"SECRET\", \"token_type\": \"Bearer\", \"error\": \"SECRET\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_tokens(200, bad[i], &tokens), ERR_UPSTREAM);
    assert_int_equal(read_tokens(400, "{\"error\": \"SECRET x\"}", &tokens), ERR_UPSTREAM);
    assert_int_equal(
        read_tokens(500, "{\"access_token\": \"SECRET\", \"token_type\": \"Bearer\"}", &tokens),
        ERR_UPSTREAM);
}

static void an_error_code_is_passed_on(void **state)
{
    (void)state;
    char why[MCP_OAUTH_WHY_SIZE], code[MCP_OAUTH_CODE_SIZE];
    struct mcp_tokens tokens;
    const char *body = "{\"error\": \"invalid_client\", \"error_description\": \"SECRET\"}";
    assert_int_equal(mcp_tokens_read(401, body, strlen(body), 0, &tokens, why, code), ERR_UPSTREAM);
    assert_string_equal(code, "invalid_client");
    assert_non_null(strstr(why, "invalid_client"));
    assert_null(strstr(why, "SECRET"));
}

static void a_proof_is_of_one_request(void **state)
{
    (void)state;
    struct crypto_key *key = crypto_key_new();
    AUTOFREE char *proof =
        mcp_dpop_proof(key, "POST", "https://a.example/mcp?q=1", "nonce", "token");
    AUTOFREE char *other =
        mcp_dpop_proof(key, "POST", "https://a.example/mcp?q=1", "nonce", "token");
    assert_string_not_equal(proof, other);
    const char *middle = strchr(proof, '.') + 1;
    AUTOFREE uint8_t *text = NULL;
    size_t len;
    AUTOJSON json_t *claims = NULL;
    assert_int_equal(crypto_base64url_decode(middle, strcspn(middle, "."), &text, &len), ERR_OK);
    assert_int_equal(js_parse((char *)text, len, &claims, NULL), ERR_OK);
    assert_string_equal(js_str(claims, "htu", ""), "https://a.example/mcp");
    assert_string_equal(js_str(claims, "htm", ""), "POST");
    assert_string_equal(js_str(claims, "nonce", ""), "nonce");
    assert_string_equal(js_str(claims, "ath", ""), "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
    assert_null(mcp_dpop_proof(key, "POST", "no url", NULL, NULL));
    crypto_key_destroy(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_goes_where_the_server_wants_it),
        cmocka_unit_test(a_key_signs_for_one_issuer),
        cmocka_unit_test(tokens_are_read),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(an_error_code_is_passed_on),
        cmocka_unit_test(a_proof_is_of_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
