#include "libcommon/jwt.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <jwt.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

static const char issuer[] = "mcpbus";

static void cleanup_jwt(jwt_t **jwt_p)
{
    jwt_free(*jwt_p);
}

enum err jwt_door_sign(const char *secret, const json_t *claims, char **ret_token)
{
    size_t secret_len = strlen(secret);
    if (!json_is_object(claims) || secret_len == 0 || secret_len > INT_MAX)
        return ERR_INVALID;
    __attribute__((cleanup(cleanup_jwt))) jwt_t *jwt = NULL;
    AUTOFREE char *text = js_dump(claims);
    if (jwt_new(&jwt) != 0)
        abort(); /* only ENOMEM */
    if (jwt_add_grants_json(jwt, text) != 0 ||
        jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)secret_len) != 0)
        return ERR_INTERNAL;
    char *token = jwt_encode_str(jwt);
    if (!token)
        return ERR_INTERNAL;
    if (strlen(token) > JWT_TOKEN_MAX_BYTES) {
        free(token);
        return ERR_TOO_LARGE;
    }
    *ret_token = token;
    return ERR_OK;
}

/* A base64url part of a token as a JSON object. */
static enum err part_object(const char *part, size_t len, json_t **ret_object)
{
    AUTOFREE uint8_t *data = NULL;
    size_t data_len;
    if (crypto_base64url_decode(part, len, &data, &data_len))
        return ERR_UNAUTHENTICATED;
    json_t *object;
    if (js_parse((const char *)data, data_len, &object, NULL))
        return ERR_UNAUTHENTICATED;
    if (!json_is_object(object)) {
        json_decref(object);
        return ERR_UNAUTHENTICATED;
    }
    *ret_object = object;
    return ERR_OK;
}

/* Exactly three parts of base64url; where the second and third begin. */
static bool split(const char *token, size_t len, const char *ret_parts[2])
{
    int dots = 0;
    for (size_t i = 0; i < len; i++) {
        char c = token[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        if (c == '.' && dots < 2)
            ret_parts[dots++] = token + i + 1;
        else if (!digit)
            return false;
    }
    return dots == 2;
}

/* libjwt takes the algorithm from the token; this pins it (RFC 8725 §3.1). An extension that must
 * be understood isn't (RFC 7515 §4.1.11). */
static enum err check_header(const char *part, size_t len)
{
    AUTOJSON json_t *header = NULL;
    enum err err = part_object(part, len, &header);
    if (err)
        return err;
    if (strcmp(js_str(header, "alg", ""), "HS256") != 0 || json_object_get(header, "crit"))
        return ERR_UNAUTHENTICATED;
    return ERR_OK;
}

static enum err check_signature(const char *secret, const char *token)
{
    __attribute__((cleanup(cleanup_jwt))) jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, (const unsigned char *)secret, (int)strlen(secret)) != 0 || !jwt)
        return ERR_UNAUTHENTICATED;
    return jwt_get_alg(jwt) == JWT_ALG_HS256 ? ERR_OK : ERR_UNAUTHENTICATED;
}

static bool audience_is_ours(const json_t *aud)
{
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), issuer) == 0;
    size_t i;
    const json_t *item;
    json_array_foreach(aud, i, item) if (json_is_string(item) &&
                                         strcmp(json_string_value(item), issuer) == 0) return true;
    return false;
}

/* A NumericDate may have a fraction (RFC 7519 §2), which doesn't count here; behind 2^53 a double
 * has no seconds any more. */
static int64_t whole_seconds(const json_t *date)
{
    static const double max = (double)((int64_t)1 << 53);
    double value = json_real_value(date);
    if (json_is_integer(date))
        return json_integer_value(date);
    return (int64_t)(value > max ? max : value < 0 ? -1 : value);
}

/* RFC 7519 §4.1; "iss" and "aud" are absent in tokens of the original's form. */
static enum err check_claims(const json_t *claims, int64_t now)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const json_t *iss = json_object_get(claims, "iss"), *aud = json_object_get(claims, "aud");
    if (!json_is_number(exp) || whole_seconds(exp) <= now)
        return ERR_UNAUTHENTICATED;
    if (nbf && (!json_is_number(nbf) || whole_seconds(nbf) > now))
        return ERR_UNAUTHENTICATED;
    if (iss && (!json_is_string(iss) || strcmp(json_string_value(iss), issuer) != 0))
        return ERR_UNAUTHENTICATED;
    if (aud && !audience_is_ours(aud))
        return ERR_UNAUTHENTICATED;
    return js_str(claims, "id", "")[0] ? ERR_OK : ERR_UNAUTHENTICATED;
}

enum err jwt_door_verify(const char *secret, const char *token, size_t token_len, int64_t now,
                         json_t **ret_claims)
{
    const char *parts[2];
    size_t secret_len = strlen(secret);
    if (token_len == 0 || token_len > JWT_TOKEN_MAX_BYTES || secret_len == 0 ||
        secret_len > INT_MAX || !split(token, token_len, parts))
        return ERR_UNAUTHENTICATED;
    enum err err = check_header(token, (size_t)(parts[0] - token) - 1);
    if (err)
        return err;
    AUTOFREE char *text = mem_strndup(token, token_len);
    err = check_signature(secret, text);
    if (err)
        return err;
    AUTOJSON json_t *claims = NULL;
    err = part_object(parts[0], (size_t)(parts[1] - parts[0]) - 1, &claims);
    if (err)
        return err;
    err = check_claims(claims, now);
    if (err)
        return err;
    const json_t *exp = json_object_get(claims, "exp");
    if (json_is_real(exp))
        json_object_set_new(claims, "exp", json_integer(whole_seconds(exp)));
    *ret_claims = json_incref(claims);
    return ERR_OK;
}

enum err jwt_door_verify_any(const char *const *secrets, const char *token, size_t token_len,
                             int64_t now, json_t **ret_claims)
{
    enum err err = ERR_UNAUTHENTICATED;
    for (; err && *secrets; secrets++)
        err = jwt_door_verify(*secrets, token, token_len, now, ret_claims);
    return err;
}
