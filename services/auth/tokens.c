#include "services/auth/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libcommon/js.h"
#include "libcommon/jwt.h"
#include "libcommon/mem.h"

enum { EMAIL_MAX_BYTES = 320, NAME_MAX_BYTES = 256, PICTURE_MAX_BYTES = 1024 };

void grant_fini(struct grant *grant)
{
    mem_free_secret(&grant->access_token);
    mem_free_secret(&grant->refresh_token);
    *grant = (struct grant){.access_token = NULL};
}

json_t *tokens_column(const char *text)
{
    json_t *value = NULL;
    if (!text || js_parse(text, strlen(text), &value, NULL))
        return NULL;
    if (!json_is_string(value))
        return value;
    json_t *inner = NULL;
    enum err err = js_parse(json_string_value(value), json_string_length(value), &inner, NULL);
    json_decref(value);
    return err ? NULL : inner;
}

/* A sealed value is bound to its user and to what it is, so that it can't be moved. */
static char *seal_context(const char *user_id, const char *field)
{
    return mem_printf("google-token:%s:%s", field, user_id);
}

static enum err open_text(const struct token_keys *keys, const char *user_id, const char *field,
                          const char *value, char **ret_text)
{
    AUTOFREE char *context = seal_context(user_id, field);
    for (size_t i = 0; i < keys->count; i++) {
        size_t len;
        if (crypto_open(keys->keys[i], context, value, ret_text, &len) == ERR_OK)
            return ERR_OK;
    }
    return ERR_INVALID;
}

static json_t *seal_text(const struct token_keys *keys, const char *user_id, const char *field,
                         const char *value)
{
    if (!value)
        return json_null();
    AUTOFREE char *context = seal_context(user_id, field);
    AUTOFREE char *sealed = crypto_seal(keys->keys[0], context, value, strlen(value));
    return json_string(sealed);
}

/* Seconds or milliseconds since 1970 (no date in use is ambiguous), or ISO 8601 in UTC. */
static int64_t date_ms(const json_t *value)
{
    struct tm tm = {.tm_year = 0};
    if (json_is_string(value) && strptime(json_string_value(value), "%Y-%m-%dT%H:%M:%S", &tm))
        return (int64_t)timegm(&tm) * 1000;
    if (!json_is_number(value))
        return 0;
    double date = json_number_value(value);
    if (!(date > 0 && date < 1e15))
        return 0;
    return (int64_t)(date < 1e11 ? date * 1000 : date);
}

static int64_t expiry_ms(const json_t *data)
{
    static const char *const names[] = {"expires_at", "expiry_date", "expires_at_ms", "expiry"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        int64_t ms = date_ms(json_object_get(data, names[i]));
        if (ms)
            return ms;
    }
    return 0;
}

enum err grant_open(const struct token_keys *keys, const char *user_id, const char *token_data,
                    struct grant *ret_grant)
{
    AUTOJSON json_t *data = tokens_column(token_data);
    if (!json_is_object(data))
        return ERR_INVALID;
    const char *access = js_str(data, "access_token", js_str(data, "token", NULL));
    const char *refresh = js_str(data, "refresh_token", NULL);
    struct grant grant = {.expires_at_ms = expiry_ms(data)};
    enum err err = ERR_OK;
    if (strncmp(access ? access : refresh ? refresh : "", "v1.", 3) == 0) {
        grant.sealed = true;
        if (access)
            err = open_text(keys, user_id, "access", access, &grant.access_token);
        if (!err && refresh)
            err = open_text(keys, user_id, "refresh", refresh, &grant.refresh_token);
    } else {
        grant.access_token = mem_strdup_opt(access);
        grant.refresh_token = mem_strdup_opt(refresh);
    }
    if (err || (!access && !refresh)) {
        grant_fini(&grant);
        return ERR_INVALID;
    }
    *ret_grant = grant;
    return ERR_OK;
}

char *grant_seal(const struct token_keys *keys, const char *user_id, const struct grant *grant)
{
    AUTOJSON json_t *data = json_pack(
        "{s:o, s:o, s:I}", "access_token", seal_text(keys, user_id, "access", grant->access_token),
        "refresh_token", seal_text(keys, user_id, "refresh", grant->refresh_token), "expires_at",
        (json_int_t)grant->expires_at_ms);
    return js_dump(data);
}

static json_t *capped(const json_t *profile, const char *name, size_t max)
{
    const char *text = js_str(profile, name, "");
    return js_string_capped(text, strlen(text), max, "");
}

json_t *tokens_user(const char *user_id, const json_t *profile)
{
    bool picture_fits = strlen(js_str(profile, "picture", "")) <= PICTURE_MAX_BYTES;
    return json_pack(
        "{s:s, s:o, s:o, s:o}", "id", user_id, "email", capped(profile, "email", EMAIL_MAX_BYTES),
        "name", capped(profile, "name", NAME_MAX_BYTES), "picture",
        picture_fits ? capped(profile, "picture", PICTURE_MAX_BYTES) : json_string(""));
}

enum err tokens_issue(const char *secret, const json_t *user, int64_t generation, int64_t now,
                      char **ret_token)
{
    /* No "aud": the original's library refuses a token for an audience that it doesn't expect. */
    AUTOJSON json_t *claims = json_copy((json_t *)user);
    json_object_set_new(claims, "exp", json_integer(now + TOKENS_LIFE_S));
    json_object_set_new(claims, "iat", json_integer(now));
    json_object_set_new(claims, "gen", json_integer(generation));
    json_object_set_new(claims, "iss", json_string("mcpbus"));
    return jwt_door_sign(secret, claims, ret_token);
}
