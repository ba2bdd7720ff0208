/* The build says where each file lies (CMakeLists.txt). */
#include "services/gateway/assets.h"

#define INCLUDE_FILE(name, path)            \
    __asm__(".section .rodata\n"            \
            ".global asset_" #name "\n"     \
            ".global asset_" #name "_end\n" \
            ".balign 16\n"                  \
            "asset_" #name ":\n"            \
            ".incbin \"" path "\"\n"        \
            "asset_" #name "_end:\n"        \
            ".byte 0\n"                     \
            ".previous\n");

INCLUDE_FILE(openapi, ASSET_OPENAPI)
INCLUDE_FILE(docs, ASSET_DOCS)
INCLUDE_FILE(docs_init, ASSET_DOCS_INIT)
INCLUDE_FILE(docs_css, ASSET_DOCS_CSS)
INCLUDE_FILE(docs_bundle, ASSET_DOCS_BUNDLE)
