#include "services/http_listen.h"

#include "libcommon/log.h"
#include "libcommon/mem.h"

static void say_why_not(const char *name, const struct http_server_options *options, enum err err)
{
    AUTOFREE char *why =
        err == ERR_CONFLICT
            ? mem_printf("the port is taken by another program: set %s_PORT to another one", name)
            : mem_printf("cannot bind it: %s_ADDRESS takes an address of this machine", name);
    log_error("listen_failed", LOG_S("address", options->address), LOG_I("port", options->port),
              LOG_S("why", why));
}

enum err http_listen(struct loop *loop, const char *name, struct http_server_options options,
                     struct http_server **ret_server)
{
    options.reuse_port = true;
    enum err err = http_server_new(loop, &options, ret_server);
    if (err)
        say_why_not(name, &options, err);
    else
        log_info("listening", LOG_S("address", options.address),
                 LOG_I("port", http_server_port(*ret_server)));
    return err;
}
