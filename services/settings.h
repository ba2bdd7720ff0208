/* The settings of all services: one struct, one table (settings.def). Read-only once loaded. */
#ifndef MCPBUS_SERVICES_SETTINGS_H
#define MCPBUS_SERVICES_SETTINGS_H

#include "libcommon/service.h"

#define SETTING_FIELD_STRING const char *
#define SETTING_FIELD_SECRET const char *
#define SETTING_FIELD_URL const char *
#define SETTING_FIELD_CHOICE const char *
#define SETTING_FIELD_OBSOLETE const char *
#define SETTING_FIELD_INT int64_t

struct settings {
#define SETTING(name, field, type, def, min, max, choices, help) SETTING_FIELD_##type field;
#include "services/settings.def"
#undef SETTING
};

enum {
    settings_count = 0
#define SETTING(name, field, type, def, min, max, choices, help) +1
#include "services/settings.def"
#undef SETTING
};

extern const struct setting settings_table[settings_count];

/* What every service definition says about its settings. */
#define SERVICE_SETTINGS                                         \
    .settings = settings_table, .setting_count = settings_count, \
    .settings_size = sizeof(struct settings), .endpoints_setting = "BROKER_ENDPOINT"

#endif
