#include "services/settings.h"

const struct setting settings_table[settings_count] = {
#define SETTING(name, field, type, def, min, max, choices, help) \
    {#name, SETTING_##type, offsetof(struct settings, field), def, min, max, choices, help},
#include "services/settings.def"
#undef SETTING
};
