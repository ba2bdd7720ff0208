#include "services/monitor/login_ticket.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

static const char context[] = "monitor-session";

static void derive(struct login_keys *keys, const char *secret)
{
    crypto_derive_key(secret, "mcpbus monitor session", keys->keys[keys->count++]);
}

void login_keys_init(struct login_keys *keys, const char *secret, const char *previous)
{
    *keys = (struct login_keys){.count = 0};
    if (secret)
        derive(keys, secret);
    else
        crypto_random(keys->keys[keys->count++], CRYPTO_KEY_BYTES);
    if (previous)
        derive(keys, previous);
}

char *ticket_seal(const struct login_keys *keys, const struct ticket *ticket)
{
    AUTOJSON json_t *body = json_pack("{s:s, s:s, s:I}", "name", ticket->name, "how", ticket->how,
                                      "exp", (json_int_t)ticket->expires_at);
    AUTOFREE char *text = js_dump(body);
    return crypto_seal(keys->keys[0], context, text, strlen(text));
}

static enum err unseal(const struct login_keys *keys, const char *sealed, json_t **ret_body)
{
    AUTOFREE char *text = NULL;
    size_t len = 0;
    enum err err = strlen(sealed) > TICKET_MAX_BYTES ? ERR_INVALID : ERR_OK;
    if (err)
        return err;
    err = ERR_INVALID;
    for (size_t i = 0; err && i < keys->count; i++)
        err = crypto_open(keys->keys[i], context, sealed, &text, &len);
    return err ? ERR_INVALID : js_parse(text, len, ret_body, NULL);
}

enum err ticket_open(const struct login_keys *keys, const char *sealed, int64_t now,
                     struct ticket *ret_ticket)
{
    AUTOJSON json_t *body = NULL;
    if (unseal(keys, sealed, &body))
        return ERR_INVALID;
    const char *name = js_str(body, "name", ""), *how = js_str(body, "how", "");
    struct ticket ticket = {.expires_at = js_int(body, "exp", 0)};
    if (!*name || strlen(name) >= sizeof(ticket.name) || strlen(how) >= sizeof(ticket.how))
        return ERR_INVALID;
    if (ticket.expires_at <= now || ticket.expires_at > now + TICKET_LIFE_S)
        return ERR_EXPIRED;
    memcpy(ticket.name, name, strlen(name));
    memcpy(ticket.how, how, strlen(how));
    *ret_ticket = ticket;
    return ERR_OK;
}

void ticket_cookie_name(const struct login_keys *keys, size_t index,
                        char ret_name[TICKET_COOKIE_SIZE])
{
    char id[CRYPTO_KEY_ID_SIZE];
    crypto_key_id(keys->keys[index], id);
    snprintf(ret_name, TICKET_COOKIE_SIZE, "mcpbus_monitor_%s", id);
}

void ticket_bind(const struct login_keys *keys, size_t index, const char *state,
                 char ret_mac[TICKET_MAC_SIZE])
{
    uint8_t mac[CRYPTO_SHA256_BYTES];
    AUTOFREE char *text = mem_printf("monitor-google %s", state);
    crypto_hmac_sha256(keys->keys[index], CRYPTO_KEY_BYTES, text, strlen(text), mac);
    AUTOFREE char *encoded = crypto_base64url_encode(mac, sizeof(mac));
    snprintf(ret_mac, TICKET_MAC_SIZE, "%s", encoded);
}
