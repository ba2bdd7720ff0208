/* mcpbus-auth: signing in with Google, users' tokens, and access for runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/bus_reach.h"
#include "libcommon/mem.h"
#include "services/auth/auth.h"
#include "services/outside.h"

static const struct bus_method methods[] = {
    {"begin", oauth_begin},
    {"callback", oauth_callback},
    {"identify_begin", identify_begin},
    {"identify", identify_callback},
    {"status", sessions_status},
    {"login", sessions_login},
    {"logout", sessions_logout},
    {"forget", sessions_forget},
    {"google_access", access_google},
    {"revocations", sessions_revocations},
    {"check", sessions_check},
    {"find", sessions_find},
};

static const char *const required[] = {"DATABASE_URL", "JWT_SECRET", "GOOGLE_CLIENT_ID",
                                       "GOOGLE_CLIENT_SECRET", NULL};

/* What the provider must know as this client's address, the same at both ends of a sign-in. */
static char *make_redirect_uri(const struct settings *settings)
{
    if (!settings->public_url)
        return mem_printf("http://localhost:%d/auth/callback", (int)settings->gateway_port);
    size_t len = strlen(settings->public_url);
    while (len > 0 && settings->public_url[len - 1] == '/')
        len--;
    return mem_printf("%.*s/auth/callback", (int)len, settings->public_url);
}

static void stop(struct service *service)
{
    struct auth *auth = service->state;
    if (!auth)
        return;
    service->state = NULL;
    google_destroy(&auth->google);
    store_destroy(&auth->store);
    seal_destroy(auth); /* behind the store: nothing calls back any more */
    bus_reach_destroy(&auth->reach);
    loop_timer_destroy(&auth->sweep);
    free(auth->redirect_uri);
    explicit_bzero(auth, sizeof(*auth)); /* keys */
    free(auth);
}

/* What the table of settings can't judge, in the words that it uses. */
static bool settings_are_good(const struct settings *settings)
{
    if (!outside_settings_are_good("mcpbus-auth", settings))
        return false;
    return true;
}

static void make_keys(struct auth *auth)
{
    static const char state[] = "mcpbus oauth state";
    const struct settings *settings = auth->settings;
    const char *previous = settings->jwt_secret_previous;
    token_keys_init(
        &auth->keys,
        &(struct token_secrets){.encryption_key = settings->token_encryption_key,
                                .encryption_key_previous = settings->token_encryption_key_previous,
                                .jwt_secret = settings->jwt_secret,
                                .jwt_secret_previous = previous});
    crypto_derive_key(settings->jwt_secret, state, auth->state_key);
    crypto_derive_key(previous ? previous : settings->jwt_secret, state, auth->state_key_previous);
}

static void on_probed(void *arg, enum err err, int64_t value)
{
    (void)value;
    bus_reach_answered(arg, err);
}

static void ask_database(void *arg, struct bus_reach *reach)
{
    struct auth *auth = arg;
    store_probe(auth->store, on_probed, reach);
}

static enum err start(struct service *service)
{
    const struct settings *settings = service->settings;
    if (!settings_are_good(settings))
        return ERR_INVALID;
    struct auth *auth = mem_alloc(sizeof(*auth));
    auth->settings = settings;
    auth->loop = service->loop;
    auth->bus = service->bus;
    auth->redirect_uri = make_redirect_uri(settings);
    auth->redirect_fixed = settings->public_url != NULL;
    make_keys(auth);
    service->state = auth;
    enum err err = store_new(service->loop, settings->database_url, &auth->store);
    if (err) {
        fprintf(stderr,
                "mcpbus-auth: DATABASE_URL takes postgresql://user:password@host:5432/name, "
                "several hosts with commas\n");
        stop(service);
        return err;
    }
    auth->google = google_new(service->loop, settings);
    sweep_start(auth);
    auth->reach = bus_reach_new(&(struct bus_reach_options){
        .loop = auth->loop, .bus = auth->bus, .ask = ask_database, .arg = auth});
    return ERR_OK;
}

static const char *problem(struct service *service)
{
    const struct auth *auth = service->state;
    return bus_reach_is_there(auth->reach) ? NULL : "the database does not answer";
}

static const char *reason(struct service *service)
{
    const struct auth *auth = service->state;
    return store_problem(auth->store);
}

static bool drained(struct service *service)
{
    const struct auth *auth = service->state;
    return store_audit_pending(auth->store) == 0;
}

int main(int argc, char **argv)
{
    static const struct service_def def = {
        .name = "auth",
        .summary = "Signs users in with Google, issues and ends their tokens, gives runs access.",
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(*methods),
        SERVICE_SETTINGS,
        .required = required,
        .start = start,
        .drained = drained,
        .problem = problem,
        .reason = reason,
        .stop = stop,
    };
    return service_main(&def, argc, argv);
}
