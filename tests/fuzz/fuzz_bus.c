/* What a stranger may send on the bus: header, method, body of any method. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_body(const struct proto_target *target, const char *text, size_t len)
{
    AUTOJSON json_t *body = NULL;
    char why[PROTO_WHY_SIZE];
    const struct proto_method *method = proto_method_find(target->service, target->method);
    if (!method || js_parse(text, len, &body, NULL) != ERR_OK)
        return;
    if (proto_check(method->args, body, why) != ERR_OK && !memchr(why, '\0', sizeof why))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_header header;
    if (size >= PROTO_HEADER_BYTES &&
        proto_header_decode(data, PROTO_HEADER_BYTES, &header) == ERR_OK) {
        uint8_t again[PROTO_HEADER_BYTES];
        proto_header_encode(&header, again);
        if (memcmp(again, data, sizeof again) != 0)
            abort();
    }
    /* method, a space, body */
    const char *text = (const char *)data, *space = memchr(text, ' ', size);
    struct proto_target target;
    size_t method_len = space ? (size_t)(space - text) : size;
    if (proto_target_parse(text, method_len, &target) == ERR_OK && space)
        check_body(&target, space + 1, size - method_len - 1);
    return 0;
}
