/* mcpbus-google: an MCP server on standard input and output for Gmail, Drive and Calendar, with
 * the access that its environment gives. Standard error has the log. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libcommon/log.h"
#include "services/google/server.h"

static int print_help(void)
{
    puts("mcpbus-google: an MCP server (stdio) for Gmail, Google Drive and Google Calendar.\n"
         "Reads JSON-RPC lines from standard input until its end. Settings, from the environment:");
    settings_print_help(google_settings, google_settings_count, stdout);
    return 0;
}

static enum log_level level_of(const char *name)
{
    return strcmp(name, "debug") == 0     ? LOG_LEVEL_DEBUG
           : strcmp(name, "warning") == 0 ? LOG_LEVEL_WARNING
           : strcmp(name, "error") == 0   ? LOG_LEVEL_ERROR
                                          : LOG_LEVEL_INFO;
}

/* Other processes of the same user, such as one that a malicious file has taken over, can't read
 * this one's memory and environment. */
static void hide(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which looks into its own process that way */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

static int serve(const struct google_config *config)
{
    struct loop *loop = loop_new();
    struct server *server = server_new(loop, config);
    struct rpc *rpc = rpc_new(loop, STDIN_FILENO, STDOUT_FILENO, server_method, server);
    server_attach(server, rpc);
    if (!config->scopes)
        log_warning("no_scopes", LOG_S("why", "GOOGLE_AUTHORIZED_SCOPES allows no tool"));
    enum err err = rpc_serve(rpc);
    if (err)
        log_warning("stopped", LOG_S("error", err_text(err)));
    server_destroy(&server);
    rpc_destroy(&rpc);
    loop_destroy(&loop);
    return err ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct google_config config; /* its texts live as long as the process */
    char why[SETTINGS_WHY_SIZE] = "";
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("mcpbus-google " MCPBUS_VERSION) < 0;
    if (argc > 1) {
        fprintf(stderr, "mcpbus-google takes no arguments but --help and --version\n");
        return 2;
    }
    hide();
    if (google_config_load(&config, why) != ERR_OK) {
        fprintf(stderr, "mcpbus-google: %s\n", why);
        return 1;
    }
    log_setup("google", level_of(config.log_level),
              strcmp(config.log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    return serve(&config);
}
