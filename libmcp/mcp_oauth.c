#include "libmcp/mcp_oauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libmcp/mcp_oauth_challenge.h"
#include "libmcp/mcp_oauth_internal.h"

enum {
    ROUNDS_MAX = 128, /* of one run: renewals, and what a server makes up */
    ATTEMPTS_MAX = 4, /* of one request: no token, a nonce, more scopes, and another nonce */
    ROUND_MS = 60 * 1000,
    CALL_MS = 20 * 1000,
    ANSWER_MAX = 64 << 10,
    NONCE_MAX = 512,
    TRIES_MAX = 3, /* of a token request that fails for a while */
    RETRY_MS = 250,
};

/* How a token is being got. */
enum step { IDLE, DISCOVERING, GRANTING, REFRESHING };

struct mcp_oauth {
    struct http_client *http;
    char *server_url;
    struct mcp_oauth_config config;
    struct mcp_oauth_grant grant;
    struct mcp_http_auth http_auth;
    struct mcp_oauth_site site; /* issuer NULL: not known yet */
    char *bound_issuer;         /* the one that has seen our credentials */
    struct mcp_oauth_discovery *discovery;
    struct mcp_tokens tokens;
    const struct mcp_oauth_client *client; /* that the tokens were given to */
    char *requested;                       /* all scopes that were ever asked for */
    struct crypto_key *dpop_key;           /* NULL: the server wants no proofs */
    char *nonce, *issuer_nonce;            /* for proofs to the MCP and the authorization server */
    enum step step;
    char *wanted; /* scopes of this round */
    int64_t round_deadline;
    unsigned rounds;
    uint64_t call;
    char **fields; /* of the grant, for a repetition with a nonce */
    bool nonce_tried;
    unsigned tries;
    struct loop_timer *retry_timer;
    struct loop_timer *timer; /* calls `done` */
    char *why;                /* NULL: it went well */
    void (*done)(void *done_arg, const char *why);
    void *done_arg;
};

static void ask(struct mcp_oauth *oauth);
static void begin_grant(struct mcp_oauth *oauth);

static void set_text(char **place, const char *text)
{
    char *copy = mem_strdup_opt(text);
    free(*place);
    *place = copy;
}

static void forget_fields(struct mcp_oauth *oauth)
{
    for (char **field = oauth->fields; field && *field; field++)
        mem_free_secret(field);
    free(oauth->fields);
    oauth->fields = NULL;
}

/* The end of a round */

static void on_timer(void *arg)
{
    struct mcp_oauth *oauth = arg;
    void (*done)(void *done_arg, const char *why) = oauth->done;
    AUTOFREE char *why = oauth->why;
    oauth->done = NULL;
    oauth->why = NULL;
    if (done)
        done(oauth->done_arg, why);
}

/* `done` hears of it from the loop, never from within what it called. */
static void tell(struct mcp_oauth *oauth, const char *why)
{
    set_text(&oauth->why, why);
    loop_timer_start(oauth->timer, 0);
}

static void end_round(struct mcp_oauth *oauth, const char *why)
{
    oauth->step = IDLE;
    forget_fields(oauth);
    if (oauth->done)
        tell(oauth, why);
}

void mcp_oauth_give_up(struct mcp_oauth *oauth, const char *why)
{
    AUTOFREE char *line = mem_printf("authorization failed: %s", why);
    end_round(oauth, line);
}

/* The token endpoint */

static void keep_tokens(struct mcp_oauth *oauth, struct mcp_tokens *tokens)
{
    /* RFC 6749 §6: without a new refresh token the old one stays. */
    if (oauth->step == REFRESHING && !tokens->refresh) {
        tokens->refresh = oauth->tokens.refresh;
        oauth->tokens.refresh = NULL;
    }
    mcp_tokens_fini(&oauth->tokens);
    oauth->tokens = *tokens;
    if (oauth->step != REFRESHING) {
        char *all = mcp_scope_union(oauth->requested, oauth->wanted);
        free(oauth->requested);
        oauth->requested = all;
    }
    end_round(oauth, NULL);
}

static void no_token(struct mcp_oauth *oauth, const char *why)
{
    if (oauth->step != REFRESHING) {
        mcp_oauth_give_up(oauth, why);
        return;
    }
    /* A refresh token ends at any time; the grant itself begins anew. */
    mem_free_secret(&oauth->tokens.refresh);
    forget_fields(oauth);
    begin_grant(oauth);
}

static void on_retry(void *arg)
{
    ask(arg);
}

/* Our own credentials may be shown any number of times; what another grant shows (a code, say) is
 * perhaps used up by the first. */
static bool try_again(struct mcp_oauth *oauth, enum err error, int status)
{
    bool passing = error == ERR_PEER_LOST || error == ERR_TIMEOUT ||
                   (!error && (status >= 500 || status == 429));
    if (!passing || oauth->client != &oauth->config.client || ++oauth->tries >= TRIES_MAX ||
        clock_ms() >= oauth->round_deadline)
        return false;
    loop_timer_start(oauth->retry_timer, (int64_t)RETRY_MS << oauth->tries);
    return true;
}

static void on_token(void *arg, enum err error, const struct http_answer *answer)
{
    struct mcp_oauth *oauth = arg;
    char why[MCP_OAUTH_WHY_SIZE], code[MCP_OAUTH_CODE_SIZE];
    struct mcp_tokens tokens;
    oauth->call = 0;
    if (try_again(oauth, error, answer->status))
        return;
    if (error) {
        snprintf(why, sizeof why, "the authorization server's token endpoint: %s", answer->error);
        no_token(oauth, why);
        return;
    }
    if (*answer->dpop_nonce && strlen(answer->dpop_nonce) <= NONCE_MAX)
        set_text(&oauth->issuer_nonce, answer->dpop_nonce);
    enum err err =
        mcp_tokens_read(answer->status, answer->body, answer->len, clock_ms(), &tokens, why, code);
    bool repeat =
        err && strcmp(code, "use_dpop_nonce") == 0 && oauth->dpop_key && !oauth->nonce_tried;
    if (repeat) {
        oauth->nonce_tried = true;
        ask(oauth);
    } else if (err) {
        no_token(oauth, why);
    } else if (tokens.dpop != !!oauth->dpop_key) {
        mcp_tokens_fini(&tokens);
        no_token(oauth, "the authorization server gave a token of another type than asked for");
    } else {
        keep_tokens(oauth, &tokens);
    }
}

static bool may_not_leave(const struct mcp_oauth *oauth, const char *url)
{
    return oauth->config.token_url
               ? false
               : mcp_oauth_public_only(oauth->server_url, oauth->config.issuer, url);
}

static void ask(struct mcp_oauth *oauth)
{
    char why[MCP_OAUTH_WHY_SIZE];
    struct mcp_token_request request;
    if (mcp_token_request_make(oauth->site.issuer, oauth->client,
                               (const char *const *)oauth->fields, oauth->dpop_key,
                               oauth->issuer_nonce, &request, why) != ERR_OK) {
        no_token(oauth, why);
        return;
    }
    const char *url = js_str(oauth->site.issuer, "token_endpoint", "");
    int64_t left = oauth->round_deadline - clock_ms();
    struct http_call call = {
        .method = "POST",
        .url = url,
        .headers = (const char *const *)request.headers,
        .body = request.body,
        .body_len = strlen(request.body),
        .timeout_ms = left < CALL_MS ? left : CALL_MS,
        .answer_max = ANSWER_MAX,
        .public_only = may_not_leave(oauth, url),
    };
    oauth->call = http_client_send(oauth->http, &call, on_token, oauth);
    mcp_token_request_fini(&request);
}

static void set_fields(struct mcp_oauth *oauth, const char *const *fields)
{
    char **all = mem_alloc(((size_t)2 * MCP_TOKEN_FIELDS + 1) * sizeof *all);
    size_t count = 0;
    for (; fields[0] && count < (size_t)2 * (MCP_TOKEN_FIELDS - 1); fields += 2) {
        if (!fields[1])
            continue;
        all[count++] = mem_strdup(fields[0]);
        all[count++] = mem_strdup(fields[1]);
    }
    if (oauth->site.resource) {
        all[count++] = mem_strdup("resource");
        all[count++] = mem_strdup(oauth->site.resource);
    }
    forget_fields(oauth);
    oauth->fields = all;
}

void mcp_oauth_ask_token(struct mcp_oauth *oauth, const struct mcp_oauth_client *client,
                         const char *const *fields)
{
    set_fields(oauth, fields);
    oauth->client = client;
    oauth->nonce_tried = false;
    oauth->tries = 0;
    ask(oauth);
}

static void refresh(struct mcp_oauth *oauth)
{
    oauth->step = REFRESHING;
    const char *const fields[] = {"grant_type", "refresh_token", "refresh_token",
                                  oauth->tokens.refresh, NULL};
    mcp_oauth_ask_token(oauth, oauth->client, fields);
}

static void start_client_credentials(void *arg, struct mcp_oauth *oauth,
                                     const struct mcp_oauth_site *site, const char *scope)
{
    (void)arg, (void)site;
    const char *const fields[] = {"grant_type", "client_credentials", "scope", scope, NULL};
    mcp_oauth_ask_token(oauth, &oauth->config.client, fields);
}

/* Where to */

/* The scopes to ask for: those of the configuration and never more; else all that were asked for
 * before and what the challenge names (SEP-2350), or at first what the server's metadata names. */
static void begin_grant(struct mcp_oauth *oauth)
{
    if (!oauth->wanted && !oauth->config.scope && oauth->site.document)
        oauth->wanted = mcp_oauth_scopes(oauth->site.document, "scopes_supported");
    oauth->step = GRANTING;
    oauth->grant.start(oauth->grant.arg, oauth, &oauth->site, oauth->wanted);
}

/* Secrets that are bound to one authorization server are for no other (SEP-2352). The grants of
 * others know themselves what they hold for whom. */
static bool may_trust(struct mcp_oauth *oauth, const json_t *issuer)
{
    const char *name = js_str(issuer, "issuer", "");
    if (!oauth->config.client.id)
        return true;
    if (!oauth->bound_issuer)
        oauth->bound_issuer = mem_strdup(name);
    return strcmp(oauth->bound_issuer, name) == 0;
}

static void on_found(void *arg, struct mcp_oauth_site *site, const char *why)
{
    struct mcp_oauth *oauth = arg;
    if (!site) {
        AUTOFREE char *copy = mem_strdup(why);
        mcp_oauth_discovery_destroy(&oauth->discovery);
        mcp_oauth_give_up(oauth, copy);
        return;
    }
    mcp_oauth_discovery_destroy(&oauth->discovery);
    if (!may_trust(oauth, site->issuer)) {
        mcp_oauth_site_fini(site);
        mcp_oauth_give_up(oauth, "the server has turned to another authorization server");
        return;
    }
    mcp_oauth_site_fini(&oauth->site);
    oauth->site = *site;
    begin_grant(oauth);
}

static void discover(struct mcp_oauth *oauth, const char *metadata_url)
{
    const struct mcp_oauth_discovery_options options = {
        .http = oauth->http,
        .server_url = oauth->server_url,
        .metadata_url = metadata_url,
        .issuer = oauth->config.issuer,
        .deadline = oauth->round_deadline,
    };
    oauth->step = DISCOVERING;
    oauth->discovery = mcp_oauth_discovery_new(&options, on_found, oauth);
}

/* With a configured token_url there is nothing to find out. */
static void use_configured_site(struct mcp_oauth *oauth)
{
    const char *issuer = oauth->config.issuer ? oauth->config.issuer : oauth->config.token_url;
    mcp_oauth_site_fini(&oauth->site);
    oauth->site.resource = mem_strdup(oauth->server_url);
    oauth->site.issuer =
        json_pack("{s:s, s:s}", "issuer", issuer, "token_endpoint", oauth->config.token_url);
}

/* A demand */

static bool expires_soon(const struct mcp_oauth *oauth)
{
    return oauth->tokens.renew_at && clock_ms() > oauth->tokens.renew_at;
}

static void begin_round(struct mcp_oauth *oauth, const struct mcp_challenge *challenge,
                        bool more_scopes)
{
    oauth->rounds++;
    oauth->round_deadline = clock_ms() + ROUND_MS;
    free(oauth->wanted);
    oauth->wanted = oauth->config.scope ? mem_strdup(oauth->config.scope)
                                        : mcp_scope_union(oauth->requested, challenge->scope);
    if (challenge->dpop && !oauth->dpop_key)
        oauth->dpop_key = crypto_key_new();
    if (oauth->tokens.refresh && !more_scopes)
        refresh(oauth);
    else if (oauth->config.token_url || (oauth->site.issuer && expires_soon(oauth)))
        begin_grant(oauth);
    else
        discover(oauth, challenge->resource_metadata);
}

/* Why nothing will be done about it; NULL: something will. */
static const char *refusal(const struct mcp_oauth *oauth, int status, unsigned attempt,
                           const struct mcp_challenge *challenge)
{
    const char *error = challenge->error ? challenge->error : "";
    if (attempt > ATTEMPTS_MAX || oauth->rounds >= ROUNDS_MAX)
        return "the server demands authorization again and again";
    if (challenge->resource_metadata &&
        !mcp_oauth_url_is_safe(oauth->server_url, challenge->resource_metadata))
        return "the server's metadata lies at no safe URL";
    if (status == 403 && strcmp(error, "insufficient_scope") != 0)
        return "the server denies access";
    if (status == 403 && oauth->config.scope &&
        !mcp_scope_covers(oauth->config.scope, challenge->scope))
        return "the server demands more scopes than its configuration grants";
    if (status == 403 && oauth->tokens.access &&
        mcp_scope_covers(oauth->requested, challenge->scope))
        return "the server demands scopes that were asked for already";
    if (status == 401 && attempt > 1 && oauth->tokens.access && !expires_soon(oauth))
        return "the server does not accept the token that it was given";
    return NULL;
}

static void on_refused(void *arg, const struct http_answer *answer, unsigned attempt,
                       void (*done)(void *done_arg, const char *why), void *done_arg)
{
    struct mcp_oauth *oauth = arg;
    struct mcp_challenge challenge = {0};
    if (mcp_challenge_parse(answer->www_authenticate, &challenge) != ERR_OK)
        challenge = (struct mcp_challenge){0};
    oauth->done = done;
    oauth->done_arg = done_arg;
    bool nonce = oauth->dpop_key && *answer->dpop_nonce && strlen(answer->dpop_nonce) <= NONCE_MAX;
    if (nonce)
        set_text(&oauth->nonce, answer->dpop_nonce);
    if (oauth->step == IDLE) { /* else a round is under way that nobody waited for */
        const char *why = refusal(oauth, answer->status, attempt, &challenge);
        if (nonce && oauth->tokens.access && challenge.error && attempt < ATTEMPTS_MAX &&
            strcmp(challenge.error, "use_dpop_nonce") == 0) {
            tell(oauth, NULL);
        } else if (why) {
            AUTOFREE char *line = mem_printf("authorization failed: %s", why);
            tell(oauth, line);
        } else {
            begin_round(oauth, &challenge, answer->status == 403);
        }
    }
    mcp_challenge_fini(&challenge);
}

/* Requests */

static void add_line(json_t *lines, char *line)
{
    json_array_append_new(lines, json_string(line));
    mem_free_secret(&line);
}

static void add_lines(void *arg, const char *method, const char *url, json_t *lines)
{
    struct mcp_oauth *oauth = arg;
    const struct mcp_tokens *tokens = &oauth->tokens;
    /* The old one is still good for this request; a refused one waits for what begins here. */
    if (tokens->access && oauth->step == IDLE && !oauth->done && expires_soon(oauth) &&
        oauth->rounds < ROUNDS_MAX) {
        struct mcp_challenge none = {.dpop = tokens->dpop};
        begin_round(oauth, &none, false);
    }
    if (!tokens->access)
        return;
    add_line(lines,
             mem_printf("Authorization: %s %s", tokens->dpop ? "DPoP" : "Bearer", tokens->access));
    if (!tokens->dpop)
        return;
    char *proof = mcp_dpop_proof(oauth->dpop_key, method, url, oauth->nonce, tokens->access);
    if (proof)
        add_line(lines, mem_printf("DPoP: %s", proof));
    free(proof);
}

static void on_cancel(void *arg)
{
    struct mcp_oauth *oauth = arg;
    oauth->done = NULL;
}

/* Life */

enum err mcp_oauth_new(const struct mcp_oauth_options *options, struct mcp_oauth **ret_oauth,
                       char ret_why[MCP_OAUTH_WHY_SIZE])
{
    struct mcp_oauth_config config = {0};
    if (options->auth) {
        enum err err = mcp_oauth_config_read(options->auth, options->server_url, &config, ret_why);
        if (err)
            return err;
    }
    struct mcp_oauth *oauth = mem_alloc(sizeof *oauth);
    oauth->http = options->http;
    oauth->server_url = mem_strdup(options->server_url);
    oauth->config = config;
    oauth->grant.start = start_client_credentials;
    if (!options->auth)
        oauth->grant = *options->grant;
    oauth->http_auth = (struct mcp_http_auth){
        .lines = add_lines, .refused = on_refused, .cancel = on_cancel, .arg = oauth};
    oauth->timer = loop_timer_new(options->loop, on_timer, oauth);
    oauth->retry_timer = loop_timer_new(options->loop, on_retry, oauth);
    if (config.token_url)
        use_configured_site(oauth);
    *ret_oauth = oauth;
    return ERR_OK;
}

void mcp_oauth_destroy(struct mcp_oauth **oauth_p)
{
    struct mcp_oauth *oauth = *oauth_p;
    if (!oauth)
        return;
    if (oauth->step == GRANTING && !oauth->call && oauth->grant.cancel)
        oauth->grant.cancel(oauth->grant.arg);
    if (oauth->call)
        http_client_cancel(oauth->http, oauth->call);
    mcp_oauth_discovery_destroy(&oauth->discovery);
    loop_timer_destroy(&oauth->timer);
    loop_timer_destroy(&oauth->retry_timer);
    forget_fields(oauth);
    mcp_tokens_fini(&oauth->tokens);
    mcp_oauth_site_fini(&oauth->site);
    mcp_oauth_config_fini(&oauth->config);
    crypto_key_destroy(&oauth->dpop_key);
    free(oauth->server_url);
    free(oauth->bound_issuer);
    free(oauth->requested);
    free(oauth->wanted);
    free(oauth->nonce);
    free(oauth->issuer_nonce);
    free(oauth->why);
    free(oauth);
    *oauth_p = NULL;
}

const struct mcp_http_auth *mcp_oauth_http_auth(struct mcp_oauth *oauth)
{
    return &oauth->http_auth;
}
