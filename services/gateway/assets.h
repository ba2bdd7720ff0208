/* Files built into the program (assets.c). Read-only. */
#ifndef MCPBUS_GATEWAY_ASSETS_H
#define MCPBUS_GATEWAY_ASSETS_H

#include <stddef.h>

#define ASSET(name)                   \
    extern const char asset_##name[]; \
    extern const char asset_##name##_end[];

ASSET(openapi)
ASSET(docs)
ASSET(docs_init)
ASSET(docs_css)
ASSET(docs_bundle)

#define ASSET_LEN(name) ((size_t)(asset_##name##_end - asset_##name))

#endif
