#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/mem.h"
#include "services/monitor/monitor.h"

static void refuse(struct call *call, const char *name, const char *takes)
{
    AUTOFREE char *detail = mem_printf("%s takes %s", name, takes);
    call_detail(call, 400, detail);
}

bool query_int(struct call *call, const char *name, int64_t min, int64_t max, int64_t def,
               int64_t *ret_value)
{
    const char *text = http_request_query(call_request(call), name);
    char *end;
    if (!text || !*text) {
        *ret_value = def;
        return true;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0 && value >= min && value <= max && *text != ' ') {
        *ret_value = value;
        return true;
    }
    AUTOFREE char *takes =
        mem_printf("a whole number from %lld to %lld", (long long)min, (long long)max);
    refuse(call, name, takes);
    return false;
}

bool query_text(struct call *call, const char *name, size_t max, const char **ret_text)
{
    const char *text = http_request_query(call_request(call), name);
    *ret_text = text && *text ? text : NULL;
    if (!*ret_text || (strlen(text) <= max && js_is_utf8(text, strlen(text))))
        return true;
    AUTOFREE char *takes = mem_printf("a text in UTF-8 of at most %zu bytes", max);
    refuse(call, name, takes);
    return false;
}

bool query_flag(const struct call *call, const char *name)
{
    const char *text = http_request_query(call_request(call), name);
    return text && (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0 ||
                    strcasecmp(text, "yes") == 0 || strcasecmp(text, "on") == 0);
}

bool query_status(struct call *call, const char *name, const char **ret_status)
{
    static const char *const words[][2] = {
        {"pending", "pending"},     {"queued", "pending"},      {"received", "pending"},
        {"retry", "pending"},       {"running", "running"},     {"started", "running"},
        {"completed", "completed"}, {"success", "completed"},   {"failed", "failed"},
        {"failure", "failed"},      {"cancelled", "cancelled"}, {"revoked", "cancelled"}};
    const char *text = http_request_query(call_request(call), name);
    *ret_status = NULL;
    if (!text || !*text || strcasecmp(text, "all") == 0)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasecmp(words[i][0], text) == 0)
            *ret_status = words[i][1];
    if (!*ret_status)
        refuse(call, name, "pending, running, completed, failed or cancelled");
    return *ret_status;
}
