/* What mcpbus-google reads from its environment. Read-only once loaded. */
#ifndef MCPBUS_GOOGLE_CONFIG_H
#define MCPBUS_GOOGLE_CONFIG_H

#include <stdint.h>

#include "libcommon/settings.h"

struct google_config {
    const char *access_token, *refresh_token; /* NULL: none */
    int64_t expires_at_ms;                    /* of the access token; 0: unknown */
    const char *client_id, *client_secret;
    const char *user_id;
    const char *authorized_scopes; /* JSON array of scope URLs */
    const char *api_base;          /* NULL: Google's own hosts */
    const char *token_uri;
    const char *proxy, *no_proxy, *ca_bundle;
    const char *upload_dir; /* NULL: no file may be uploaded */
    const char *log_level, *log_format;
    uint32_t scopes; /* authorized_scopes as bits of scopes.h */
};

extern const struct setting google_settings[];
extern const size_t google_settings_count;

/* Fills `config` from the environment; `ret_why` has the line for the user on ERR_INVALID. */
MUST_CHECK enum err google_config_load(struct google_config *config,
                                       char ret_why[SETTINGS_WHY_SIZE]);

#endif
