#include "proto/proto.h"

#include <stdio.h>
#include <string.h>

#include "proto/tables.inc"

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

void proto_header_encode(const struct proto_header *header, uint8_t ret_bytes[PROTO_HEADER_BYTES])
{
    memcpy(ret_bytes + PROTO_AT_MAGIC, "MCB", 3);
    ret_bytes[PROTO_AT_VERSION] = PROTO_VERSION;
    ret_bytes[PROTO_AT_TYPE] = (uint8_t)header->type;
    ret_bytes[PROTO_AT_FLAGS] = header->flags;
    put(ret_bytes + PROTO_AT_STATUS, err_wire(header->status), 2);
    put(ret_bytes + PROTO_AT_INSTANCE, header->instance, 8);
    put(ret_bytes + PROTO_AT_SEQ, header->seq, 8);
    put(ret_bytes + PROTO_AT_TTL_MS, header->ttl_ms, 4);
    put(ret_bytes + PROTO_AT_CREDIT, header->credit, 4);
    put(ret_bytes + PROTO_AT_PART, header->part, 4);
    put(ret_bytes + PROTO_AT_RETRY_AFTER_MS, header->retry_after_ms, 4);
    memcpy(ret_bytes + PROTO_AT_TRACE_ID, header->trace_id, 16);
    memcpy(ret_bytes + PROTO_AT_SPAN_ID, header->span_id, 8);
}

enum err proto_header_decode(const void *bytes, size_t len, struct proto_header *ret_header)
{
    const uint8_t *at = bytes;
    const uint8_t known_flags = PROTO_FLAG_IDEMPOTENT | PROTO_FLAG_ONEWAY | PROTO_FLAG_SAMPLED;
    if (len != PROTO_HEADER_BYTES || memcmp(at + PROTO_AT_MAGIC, "MCB", 3) != 0)
        return ERR_BAD_FRAME;
    if (at[PROTO_AT_VERSION] != PROTO_VERSION)
        return ERR_VERSION;
    uint8_t type = at[PROTO_AT_TYPE];
    enum err status = ERR_OK;
    if (type < 1 || type > PROTO_TYPE_LAST || (at[PROTO_AT_FLAGS] & ~known_flags) ||
        !err_from_wire((uint16_t)get(at + PROTO_AT_STATUS, 2), &status))
        return ERR_BAD_FRAME;
    uint64_t ttl = get(at + PROTO_AT_TTL_MS, 4);
    if (ttl > PROTO_TTL_MAX_MS)
        return ERR_BAD_FRAME;
    *ret_header = (struct proto_header){
        .type = type,
        .flags = at[PROTO_AT_FLAGS],
        .status = status,
        .instance = get(at + PROTO_AT_INSTANCE, 8),
        .seq = get(at + PROTO_AT_SEQ, 8),
        .ttl_ms = (uint32_t)ttl,
        .credit = (uint32_t)get(at + PROTO_AT_CREDIT, 4),
        .part = (uint32_t)get(at + PROTO_AT_PART, 4),
        .retry_after_ms = (uint32_t)get(at + PROTO_AT_RETRY_AFTER_MS, 4),
    };
    memcpy(ret_header->trace_id, at + PROTO_AT_TRACE_ID, 16);
    memcpy(ret_header->span_id, at + PROTO_AT_SPAN_ID, 8);
    return ERR_OK;
}

bool proto_is_name(const char *text, size_t len)
{
    if (len < 1 || len > 64 || text[0] < 'a' || text[0] > 'z')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
            text[i] != '_')
            return false;
    return true;
}

void proto_instance_format(uint64_t instance, char ret_text[17])
{
    snprintf(ret_text, 17, "%016llx", (unsigned long long)instance);
}

bool proto_instance_parse(const char *text, size_t len, uint64_t *ret_instance)
{
    if (len != 16)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *ret_instance = value;
    return true;
}

enum err proto_target_parse(const char *text, size_t len, struct proto_target *ret_target)
{
    struct proto_target target = {.reach = PROTO_ANY};
    const char *dot = memchr(text, '.', len);
    if (!dot || len > PROTO_METHOD_MAX_BYTES)
        return ERR_BAD_FRAME;
    size_t before = (size_t)(dot - text), after = len - before - 1;
    const char *at = memchr(text, '@', before);
    size_t service = at ? (size_t)(at - text) : before;
    if (!proto_is_name(text, service) || !proto_is_name(dot + 1, after))
        return ERR_BAD_FRAME;
    if (at) {
        size_t name = before - service - 1;
        target.reach = name == 1 && at[1] == '*' ? PROTO_ALL : PROTO_ONE;
        if (target.reach == PROTO_ONE && !proto_instance_parse(at + 1, name, &target.instance))
            return ERR_BAD_FRAME;
    }
    memcpy(target.service, text, service);
    memcpy(target.method, dot + 1, after);
    *ret_target = target;
    return ERR_OK;
}

/* Where "service.method" is or would be, without putting it together. */
static int compare_name(const char *service, const char *method, const char *name)
{
    size_t len = strlen(service);
    int order = strncmp(service, name, len);
    if (order == 0)
        order = '.' - name[len];
    return order ? order : strcmp(method, name + len + 1);
}

const struct proto_method *proto_method_find(const char *service, const char *method)
{
    size_t low = 0, high = sizeof methods / sizeof *methods;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(service, method, methods[middle].name);
        if (order == 0)
            return &methods[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *proto_role_name(enum proto_role role)
{
    return roles[role].name;
}

bool proto_role_serves(enum proto_role role)
{
    return roles[role].serves;
}

bool proto_role_parse(const char *name, enum proto_role *ret_role)
{
    for (int i = 0; i < PROTO_ROLE_COUNT; i++) {
        if (strcmp(name, roles[i].name) == 0) {
            *ret_role = (enum proto_role)i;
            return true;
        }
    }
    return false;
}

bool proto_is_builtin(const char *service)
{
    enum proto_role role;
    return proto_role_parse(service, &role);
}

static bool fits(const struct proto_field *field, const json_t *value)
{
    switch (field->type) {
    case PROTO_FIELD_STRING:
        return json_is_string(value) && (!field->max || json_string_length(value) <= field->max);
    case PROTO_FIELD_INT:
        return json_is_integer(value);
    case PROTO_FIELD_BOOL:
        return json_is_boolean(value);
    case PROTO_FIELD_OBJECT:
        return json_is_object(value);
    case PROTO_FIELD_ARRAY:
        return json_is_array(value);
    }
    return false;
}

enum err proto_check(const struct proto_field *fields, const json_t *object,
                     char ret_why[PROTO_WHY_SIZE])
{
    if (!json_is_object(object)) {
        snprintf(ret_why, PROTO_WHY_SIZE, "the body is not an object");
        return ERR_INVALID;
    }
    for (const struct proto_field *field = fields; field->name; field++) {
        const json_t *value = json_object_get(object, field->name);
        if (!value && !field->required)
            continue;
        if (json_is_null(value) && !field->required)
            continue;
        if (!value || !fits(field, value)) {
            snprintf(ret_why, PROTO_WHY_SIZE, "%s is %s", field->name,
                     value ? "of the wrong type or too long" : "missing");
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}
