#include "services/jobs/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/crypto.h"
#include "libcommon/mem.h"

static const char prefix[] = "whsec_";
enum { PREFIX_LEN = sizeof(prefix) - 1, FIRST_MS = 1000, MOST_MS = 2 * 3600 * 1000, GROWTH = 3 };

static bool read_secret(const char *text, size_t len, struct webhook_secret *ret_secret)
{
    uint8_t *bytes = NULL;
    size_t count = 0;
    if (len <= PREFIX_LEN || memcmp(text, prefix, PREFIX_LEN) != 0 ||
        crypto_base64_decode(text + PREFIX_LEN, len - PREFIX_LEN, &bytes, &count))
        return false;
    bool good = count >= WEBHOOK_SECRET_MIN && count <= WEBHOOK_SECRET_MAX;
    if (good) {
        ret_secret->len = count;
        memcpy(ret_secret->bytes, bytes, count);
    }
    explicit_bzero(bytes, count);
    free(bytes);
    return good;
}

enum err webhook_secrets_read(const char *setting, struct webhook_secrets *ret_secrets)
{
    struct webhook_secrets secrets = {0};
    for (const char *at = setting; at;) {
        at += strspn(at, " ");
        size_t len = strcspn(at, ",");
        const char *next = at[len] ? at + len + 1 : NULL;
        while (len > 0 && at[len - 1] == ' ')
            len--;
        if (secrets.count == WEBHOOK_SECRETS_MAX ||
            !read_secret(at, len, &secrets.all[secrets.count])) {
            webhook_secrets_fini(&secrets);
            return ERR_INVALID;
        }
        secrets.count++;
        at = next;
    }
    *ret_secrets = secrets;
    return ERR_OK;
}

void webhook_secrets_fini(struct webhook_secrets *secrets)
{
    explicit_bzero(secrets, sizeof(*secrets));
}

void webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp,
                  const char *body, size_t len, char ret_signatures[WEBHOOK_SIGNATURES_MAX])
{
    struct buf text;
    size_t at = 0;
    buf_init(&text, SIZE_MAX / 4);
    buf_printf(&text, "%s.%" PRId64 ".", id, timestamp);
    buf_add(&text, body, len);
    ret_signatures[0] = '\0';
    for (size_t i = 0; i < secrets->count; i++) {
        uint8_t mac[CRYPTO_SHA256_BYTES];
        crypto_hmac_sha256(secrets->all[i].bytes, secrets->all[i].len, buf_text(&text), text.len,
                           mac);
        AUTOFREE char *signature = crypto_base64_encode(mac, sizeof(mac));
        at += (size_t)snprintf(ret_signatures + at, WEBHOOK_SIGNATURES_MAX - at, "%sv1,%s",
                               i > 0 ? " " : "", signature);
    }
    buf_fini(&text);
}

int64_t webhook_wait_ms(int64_t attempts, int64_t age_ms, int64_t retry_after_ms, uint64_t random)
{
    int64_t wait = FIRST_MS;
    for (int64_t i = 1; i < attempts && wait < MOST_MS; i++)
        wait *= GROWTH;
    if (wait > MOST_MS)
        wait = MOST_MS;
    wait += (int64_t)(random % (uint64_t)(2 * wait / 5 + 1)) - wait / 5;
    if (wait < retry_after_ms)
        wait = retry_after_ms;
    return age_ms + wait > WEBHOOK_DAY_MS ? -1 : wait;
}
