/* What cppcheck has to know of the language and the libraries. */
#ifndef MCPBUS_CPPCHECK_H
#define MCPBUS_CPPCHECK_H

#include "libcommon/log.h"
#include "libcommon/span.h"

#undef LOG_AT
#define LOG_AT(level, event, ...) log_write(level, event, (struct log_field[]){__VA_ARGS__})
#undef SPAN_ATTRS
#define SPAN_ATTRS(...) ((struct span_attr[]){__VA_ARGS__})
#define json_array_foreach(array, i, value) \
    for (i = 0; i < json_array_size(array) && (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value)                                    \
    for (key = next_key(object, 0); key && (value = json_object_get(object, key)); \
         key = next_key(object, key))
#define json_object_foreach_safe(object, next, key, value)                                   \
    for (key = next_key(object, 0), next = 0; key && (value = json_object_get(object, key)); \
         key = next_key(object, next))

#endif
