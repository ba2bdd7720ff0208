/* mcpbus-sandbox: Google and OpenAI for development and tests, with invented accounts. */
#include <stdlib.h>

#include "libcommon/log.h"
#include "libcommon/mem.h"
#include "libcommon/service.h"
#include "services/sandbox/sandbox.h"
#include "services/settings.h"

enum { TOKEN_SECONDS = 3600, TOKEN_SECONDS_MAX = 86400 };

static int64_t token_seconds(void)
{
    const char *text = getenv("SANDBOX_TOKEN_SECONDS");
    long value = text ? strtol(text, NULL, 10) : 0;
    return value >= 1 && value <= TOKEN_SECONDS_MAX ? value : TOKEN_SECONDS;
}

static enum err start(struct service *service)
{
    const struct settings *settings = service->settings;
    struct sandbox_options options = {.port = (int)settings->sandbox_port,
                                      .client_id = settings->google_client_id,
                                      .client_secret = settings->google_client_secret,
                                      .token_seconds = token_seconds()};
    struct sandbox *sandbox;
    enum err err = sandbox_new(service->loop, &options, &sandbox);
    if (err) {
        log_error("listen_failed", LOG_I("port", options.port), LOG_S("error", err_text(err)));
        return err;
    }
    service->state = sandbox;
    log_info("listening", LOG_S("address", "127.0.0.1"),
             LOG_I("port", http_server_port(sandbox->server)),
             LOG_S("note", "for development only: accounts, data and answers are invented"));
    return ERR_OK;
}

static void stop(struct service *service)
{
    struct sandbox *sandbox = service->state;
    sandbox_destroy(&sandbox);
    service->state = NULL;
}

int main(int argc, char **argv)
{
    static const struct service_def def = {
        .name = "sandbox",
        .summary = "Stands in for Google and OpenAI, with invented accounts; for development only.",
        .off_bus = true,
        SERVICE_SETTINGS,
        .start = start,
        .stop = stop,
    };
    return service_main(&def, argc, argv);
}
