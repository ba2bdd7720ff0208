#include "services/google/config.h"

#include <stddef.h>
#include <stdio.h>

#include "services/google/scopes.h"

#define FIELD(name) offsetof(struct google_config, name)

const struct setting google_settings[] = {
    {"GOOGLE_ACCESS_TOKEN", SETTING_SECRET, FIELD(access_token), NULL, 0, 16384, NULL,
     "the user's access token"},
    {"GOOGLE_REFRESH_TOKEN", SETTING_SECRET, FIELD(refresh_token), NULL, 0, 16384, NULL,
     "gets a new access token when the old one has expired"},
    {"GOOGLE_TOKEN_EXPIRES_AT", SETTING_INT, FIELD(expires_at_ms), "0", 0, INT64_MAX, NULL,
     "when the access token expires, in milliseconds since 1970"},
    {"GOOGLE_CLIENT_ID", SETTING_STRING, FIELD(client_id), NULL, 0, 0, NULL,
     "OAuth client, for refreshing"},
    {"GOOGLE_CLIENT_SECRET", SETTING_SECRET, FIELD(client_secret), NULL, 0, 4096, NULL,
     "its secret"},
    {"SESSION_USER_ID", SETTING_STRING, FIELD(user_id), NULL, 0, 0, NULL,
     "whose access this is; for the log only"},
    {"GOOGLE_AUTHORIZED_SCOPES", SETTING_STRING, FIELD(authorized_scopes), NULL, 0, 0, NULL,
     "JSON array of the granted scopes' URLs; only tools that they allow are offered"},
    {"GOOGLE_API_BASE", SETTING_URL, FIELD(api_base), NULL, 0, 0, NULL,
     "replaces the hosts of Google's APIs, paths stay"},
    {"GOOGLE_TOKEN_URI", SETTING_URL, FIELD(token_uri), "https://oauth2.googleapis.com/token", 0, 0,
     NULL, "where access tokens are refreshed"},
    {"HTTPS_PROXY", SETTING_STRING, FIELD(proxy), NULL, 0, 0, NULL, "proxy for calls to Google"},
    {"NO_PROXY", SETTING_STRING, FIELD(no_proxy), NULL, 0, 0, NULL,
     "hosts that are called past it"},
    {"CA_BUNDLE", SETTING_STRING, FIELD(ca_bundle), NULL, 0, 0, NULL,
     "file with the certificate authorities to trust; unset: the system's"},
    {"DRIVE_UPLOAD_DIR", SETTING_STRING, FIELD(upload_dir), NULL, 0, 0, NULL,
     "folder whose files drive_upload_file may upload; unset: none"},
    {"LOG_LEVEL", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, "debug,info,warning,error",
     "what is logged, to standard error"},
    {"LOG_FORMAT", SETTING_CHOICE, FIELD(log_format), "text", 0, 0, "text,json",
     "how it is logged"},
};

const size_t google_settings_count = sizeof google_settings / sizeof *google_settings;

enum err google_config_load(struct google_config *config, char ret_why[SETTINGS_WHY_SIZE])
{
    *config = (struct google_config){0};
    enum err err =
        settings_load(google_settings, google_settings_count, NULL, config, NULL, ret_why);
    if (err)
        return err;
    err = scopes_parse(config->authorized_scopes, &config->scopes);
    if (err)
        snprintf(ret_why, SETTINGS_WHY_SIZE,
                 "GOOGLE_AUTHORIZED_SCOPES takes a JSON array of scope URLs");
    return err;
}
