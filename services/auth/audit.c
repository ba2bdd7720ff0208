#include "services/auth/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/log.h"
#include "libcommon/mem.h"

enum { SCOPES_MAX = 64, WHY_MAX = 256, MARK_BYTES = 16 };

static const char *argument(const json_t *args, const char *name)
{
    const char *text = js_str(args, name, "");
    return *text ? text : NULL;
}

static char *detail_of(const struct audit *audit)
{
    if (!audit->why && !audit->scopes)
        return NULL;
    AUTOJSON json_t *detail = json_object();
    if (audit->why)
        json_object_set_new(detail, "why",
                            js_string_capped(audit->why, strlen(audit->why), WHY_MAX, "…"));
    if (json_array_size(audit->scopes) <= SCOPES_MAX)
        json_object_set(detail, "scopes", (json_t *)audit->scopes);
    return js_dump(detail);
}

static void write_line(const struct audit *audit)
{
    struct log_field fields[8];
    size_t n = 0;
    static const char *const names[][2] = {
        {"client", "client"}, {"request_id", "request_id"}, {"job_id", "job_id"}};
    if (audit->user_id)
        fields[n++] = LOG_S("user_id", audit->user_id);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (argument(audit->args, names[i][0]))
            fields[n++] = LOG_S(names[i][1], argument(audit->args, names[i][0]));
    if (audit->scopes)
        fields[n++] = LOG_I("scopes", json_array_size(audit->scopes));
    if (audit->why)
        fields[n++] = LOG_S("why", audit->why);
    fields[n] = (struct log_field){.key = NULL};
    log_write(audit->why ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, audit->event, fields);
}

void audit(struct auth *auth, const struct audit *audit)
{
    write_line(audit);
    if (audit->line_only)
        return;
    AUTOFREE char *detail = detail_of(audit);
    store_audit_add(auth->store,
                    &(struct store_audit){.event = audit->event,
                                          .outcome = audit->why ? "refused" : "ok",
                                          .user_id = audit->user_id,
                                          .job_id = argument(audit->args, "job_id"),
                                          .address = argument(audit->args, "client"),
                                          .request_id = argument(audit->args, "request_id"),
                                          .detail = detail});
}

void audit_mark(const char *user_id, char ret_mark[AUDIT_MARK_SIZE])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(user_id, strlen(user_id), digest);
    int n = snprintf(ret_mark, AUDIT_MARK_SIZE, "forgotten:");
    for (int i = 0; i < MARK_BYTES; i++)
        snprintf(ret_mark + n + (ptrdiff_t)2 * i, 3, "%02x", digest[i]);
}
