/* What is pure about webhooks: their signatures, in the manner of Standard Webhooks
 * (github.com/standard-webhooks, spec 1.0), and when to try again. Any thread. */
#ifndef MCPBUS_JOBS_WEBHOOK_H
#define MCPBUS_JOBS_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum {
    WEBHOOK_SECRETS_MAX = 2, /* the one in use, and the one that follows it or went before */
    WEBHOOK_SECRET_MIN = 24, /* bytes, as the specification has it */
    WEBHOOK_SECRET_MAX = 64,
    WEBHOOK_SIGNATURES_MAX = 128,
    WEBHOOK_DAY_MS = 24 * 3600 * 1000,
};

struct webhook_secrets {
    size_t count; /* 0: not configured */
    struct webhook_secret {
        size_t len;
        uint8_t bytes[WEBHOOK_SECRET_MAX];
    } all[WEBHOOK_SECRETS_MAX];
};

/* From WEBHOOK_SECRET: "whsec_BASE64", or two of them with a comma. NULL: none. ERR_INVALID:
 * anything else. */
MUST_CHECK enum err webhook_secrets_read(const char *setting, struct webhook_secrets *ret_secrets);
void webhook_secrets_fini(struct webhook_secrets *secrets);

/* The header webhook-signature: "v1,BASE64" for each secret, with a space between them, of HMAC-
 * SHA256 of "ID.TIMESTAMP.BODY". */
void webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp,
                  const char *body, size_t len, char ret_signatures[WEBHOOK_SIGNATURES_MAX]);

/* How long to wait after so many attempts (1 or more): a second, then three times as long each
 * time, two hours at the most, a fifth more or less by `random`; not before the receiver's
 * Retry-After (below 0: none). −1: it would be later than a day after the event, so it is given up.
 */
int64_t webhook_wait_ms(int64_t attempts, int64_t age_ms, int64_t retry_after_ms, uint64_t random);

#endif
