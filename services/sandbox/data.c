#include "services/sandbox/data.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libcommon/crypto.h"

static void digest_of(const char *email, const char *kind, unsigned index, uint8_t digest[32])
{
    char text[EMAIL_MAX + 64];
    int len = snprintf(text, sizeof(text), "%s|%.24s|%u", email, kind, index);
    crypto_sha256(text, (size_t)len, digest);
}

uint32_t data_number(const char *email, const char *kind, unsigned index)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    uint32_t number;
    digest_of(email, kind, index, digest);
    memcpy(&number, digest, sizeof(number));
    return number;
}

void data_id(const char *email, const char *kind, unsigned index, const char *alphabet, size_t len,
             char *id)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    size_t letters = strlen(alphabet);
    digest_of(email, kind, index, digest);
    for (size_t i = 0; i < len; i++)
        id[i] = alphabet[digest[i % sizeof(digest)] % letters];
    id[len] = 0;
}

void data_mail_id(const char *email, unsigned index, char id[ITEM_ID_SIZE])
{
    data_id(email, "mail", index, "0123456789abcdef", MAIL_ID_LEN, id);
    memcpy(id, "19", 2);
}

void data_file_id(const char *email, unsigned index, char id[ITEM_ID_SIZE])
{
    data_id(email, "file", index,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", FILE_ID_LEN - 1,
            id + 1);
    id[0] = '1';
}

void data_event_id(const char *email, unsigned index, char id[ITEM_ID_SIZE])
{
    data_id(email, "event", index, "0123456789abcdefghijklmnopqrstuv", EVENT_ID_LEN, id);
}

void time_rfc3339(int64_t ms, char text[TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, TIME_TEXT_SIZE - n, ".%03dZ", (int)(ms % 1000));
}

void time_rfc5322(int64_t ms, char text[TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, TIME_TEXT_SIZE, "%a, %d %b %Y %H:%M:%S +0000", &tm);
}

/* Exactly so many digits, then `end` unless that is NUL; moves `at` behind them. */
static bool take_number(const char **at, int digits, char end, int *ret_number)
{
    int number = 0;
    const char *p = *at;
    for (int i = 0; i < digits; i++, p++) {
        if (*p < '0' || *p > '9')
            return false;
        number = number * 10 + (*p - '0');
    }
    if (end && *p++ != end)
        return false;
    *at = p;
    *ret_number = number;
    return true;
}

static const char *parse_offset(const char *at, int *ret_minutes)
{
    int hours, minutes;
    if (*at == 'Z' || *at == 'z') {
        *ret_minutes = 0;
        return at + 1;
    }
    int sign = *at == '-' ? -1 : 1;
    if (*at != '+' && *at != '-')
        return NULL;
    at++;
    if (!take_number(&at, 2, ':', &hours) || !take_number(&at, 2, 0, &minutes) || hours > 14 ||
        minutes > 59)
        return NULL;
    *ret_minutes = sign * (hours * 60 + minutes);
    return at;
}

static bool in_range(const struct tm *tm)
{
    return tm->tm_year >= 1 && tm->tm_year <= 9999 && tm->tm_mon >= 1 && tm->tm_mon <= 12 &&
           tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour >= 0 && tm->tm_hour <= 23 &&
           tm->tm_min >= 0 && tm->tm_min <= 59 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

enum err time_parse(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    int offset = 0, millis = 0;
    const char *at = text;
    if (!take_number(&at, 4, '-', &tm.tm_year) || !take_number(&at, 2, '-', &tm.tm_mon) ||
        !take_number(&at, 2, 0, &tm.tm_mday))
        return ERR_INVALID;
    if (*at == 'T' || *at == 't' || *at == ' ') {
        at++;
        if (!take_number(&at, 2, ':', &tm.tm_hour) || !take_number(&at, 2, ':', &tm.tm_min) ||
            !take_number(&at, 2, 0, &tm.tm_sec))
            return ERR_INVALID;
        if (*at == '.') {
            int scale = 100;
            for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
                millis += (*at - '0') * scale;
        }
        at = parse_offset(at, &offset);
    }
    if (!at || *at || !in_range(&tm))
        return ERR_INVALID;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_ms = ((int64_t)timegm(&tm) - offset * INT64_C(60)) * 1000 + millis;
    return ERR_OK;
}
