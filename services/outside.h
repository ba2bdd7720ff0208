/* What all calls to the outside have in common: HTTPS_PROXY, NO_PROXY, CA_BUNDLE. Any thread. */
#ifndef MCPBUS_OUTSIDE_H
#define MCPBUS_OUTSIDE_H

#include <stdbool.h>

#include "libcommon/http_client.h"
#include "services/settings.h"

/* What the table of settings can't judge, in the words that it uses; else said on stderr, for
 * `program` ("mcpbus-auth"). */
bool outside_settings_are_good(const char *program, const struct settings *settings);
/* Texts are those of the settings. */
struct http_client_options outside_options(const struct settings *settings,
                                           unsigned connections_max);

#endif
