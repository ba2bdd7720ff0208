#include "services/outside.h"

#include <stdio.h>
#include <unistd.h>

bool outside_settings_are_good(const char *program, const struct settings *settings)
{
    if (settings->ca_bundle && access(settings->ca_bundle, R_OK) != 0) {
        fprintf(stderr, "%s: CA_BUNDLE takes a file that can be read, not \"%.100s\"\n", program,
                settings->ca_bundle);
        return false;
    }
    if (settings->https_proxy && !http_proxy_is_valid(settings->https_proxy)) {
        fprintf(stderr, "%s: HTTPS_PROXY takes http://host:port\n",
                program); /* may hold a password */
        return false;
    }
    return true;
}

struct http_client_options outside_options(const struct settings *settings,
                                           unsigned connections_max)
{
    return (struct http_client_options){.proxy = settings->https_proxy,
                                        .no_proxy = settings->no_proxy,
                                        .ca_bundle = settings->ca_bundle,
                                        .connections_max = connections_max};
}
