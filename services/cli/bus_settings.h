/* Where the brokers are, and with which key they are spoken to: options, then the environment and
 * the .env file, then a stack of ./dev up in the current folder (.run/env, or $MCPBUS_RUN_DIR/env),
 * then the defaults. */
#ifndef MCPBUS_CLI_BUS_SETTINGS_H
#define MCPBUS_CLI_BUS_SETTINGS_H

#include "services/cli/args.h"

struct bus_settings {
    const char *brokers;
    const char *keys; /* NULL: none is set */
    const char *key;  /* NULL: admin.key_secret in `keys` */
    bool plain;
    bool json;                             /* --json: errors are a value on stdout, too */
    const char *gateway_url, *monitor_url; /* where people look; NULL: not known */
    int64_t timeout_ms;                    /* --timeout; 0: not given */
    const char *origin; /* where `brokers` comes from: "--brokers", ".run/env"… */
};

/* An enum cli_status; not CLI_OK: said on stderr. Texts live as long as the process. */
int bus_settings_load(const struct args *args, struct bus_settings *ret_settings);

#endif
