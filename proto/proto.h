/* The bus protocol: header codec, names, and checks of bodies against the tables made from
 * protocol.json. Pure functions, any thread. Decoders fail closed: on an error the output is
 * untouched. The document is PROTOCOL.md. */
#ifndef MCPBUS_PROTO_H
#define MCPBUS_PROTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "proto/tables.h"

struct proto_header {
    enum proto_type type;
    uint8_t flags; /* enum proto_flag */
    enum err status;
    uint64_t instance, seq;
    uint32_t ttl_ms, credit, part, retry_after_ms;
    uint8_t trace_id[16], span_id[8];
};

void proto_header_encode(const struct proto_header *header, uint8_t ret_bytes[PROTO_HEADER_BYTES]);
/* ERR_VERSION for another version, ERR_BAD_FRAME for anything else that does not fit. */
MUST_CHECK enum err proto_header_decode(const void *bytes, size_t len,
                                        struct proto_header *ret_header);

enum proto_reach { PROTO_ANY, PROTO_ONE, PROTO_ALL };

/* "service.method", "service@0123456789abcdef.method", "service@*.method" */
struct proto_target {
    char service[65], method[65];
    enum proto_reach reach;
    uint64_t instance; /* with PROTO_ONE */
};

MUST_CHECK enum err proto_target_parse(const char *text, size_t len,
                                       struct proto_target *ret_target);
/* Lower case, digits, underscore; begins with a letter; 1 to 64 characters. */
bool proto_is_name(const char *text, size_t len);

enum proto_field_type {
    PROTO_FIELD_STRING,
    PROTO_FIELD_INT,
    PROTO_FIELD_BOOL,
    PROTO_FIELD_OBJECT,
    PROTO_FIELD_ARRAY
};

struct proto_field {
    const char *name; /* NULL ends a list */
    enum proto_field_type type;
    bool required, nullable;
    size_t max; /* bytes of a string; 0: only the body's own limit */
};

struct proto_method {
    const char *name; /* "jobs.submit" */
    bool idempotent;
    unsigned callers; /* roles that may call it: bits 1 << PROTO_ROLE_… */
    const struct proto_field *args, *result;
};

/* NULL when the protocol has no such method. */
const struct proto_method *proto_method_find(const char *service, const char *method);

/* A role is what a key is for: it says what its owner may call and serve. */
struct proto_role_row {
    const char *name;
    bool serves; /* the service of its own name */
};
const char *proto_role_name(enum proto_role role);
bool proto_role_serves(enum proto_role role);
MUST_CHECK bool proto_role_parse(const char *name, enum proto_role *ret_role);
/* Is it one of mcpbus's own services, which only the role of that name may serve? */
bool proto_is_builtin(const char *service);

/* Does an object fit a list of fields? ERR_INVALID otherwise, and `ret_why` (128 bytes) names the
 * field. Members that the list does not know are fine. */
enum { PROTO_WHY_SIZE = 128 };
MUST_CHECK enum err proto_check(const struct proto_field *fields, const json_t *object,
                                char ret_why[PROTO_WHY_SIZE]);

/* An instance as 16 lower-case hex digits. */
void proto_instance_format(uint64_t instance, char ret_text[17]);
MUST_CHECK bool proto_instance_parse(const char *text, size_t len, uint64_t *ret_instance);

#endif
