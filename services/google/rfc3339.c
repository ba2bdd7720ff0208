#include "services/google/rfc3339.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* Reads as many digits as `pattern` has 'd's; other characters stand for themselves. */
static const char *read_pattern(const char *text, const char *pattern, int *ret_numbers)
{
    size_t n = 0;
    for (; *pattern; pattern++, text++) {
        if (*pattern == 'd') {
            if (!isdigit((unsigned char)*text))
                return NULL;
            ret_numbers[n] = ret_numbers[n] * 10 + (*text - '0');
        } else if (*pattern == 'T' ? !strchr("Tt ", *text) || !*text : *text != *pattern) {
            return NULL;
        } else {
            n++;
        }
    }
    return text;
}

static bool is_date(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static const char *read_fraction(const char *text, int *ret_ms)
{
    int scale = 100;
    if (*text != '.')
        return text;
    if (!isdigit((unsigned char)*++text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++, scale /= 10)
        *ret_ms += (*text - '0') * scale;
    return text;
}

static bool read_zone(const char *text, int *ret_minutes)
{
    int numbers[2] = {0};
    if ((*text == 'Z' || *text == 'z') && !text[1])
        return true;
    if (*text != '+' && *text != '-')
        return false;
    const char *end = read_pattern(text + 1, "dd:dd", numbers);
    if (!end || *end || numbers[0] > 23 || numbers[1] > 59)
        return false;
    *ret_minutes = (numbers[0] * 60 + numbers[1]) * (*text == '-' ? -1 : 1);
    return true;
}

enum err rfc3339_parse(const char *text, int64_t *ret_ms)
{
    int n[6] = {0}, ms = 0, zone = 0;
    const char *at = read_pattern(text, "dddd-dd-ddTdd:dd:dd", n);
    if (!at || !is_date(n[0], n[1], n[2]) || n[3] > 23 || n[4] > 59 || n[5] > 60)
        return ERR_INVALID;
    at = read_fraction(at, &ms);
    if (!at || !read_zone(at, &zone))
        return ERR_INVALID;
    struct tm tm = {.tm_year = n[0] - 1900,
                    .tm_mon = n[1] - 1,
                    .tm_mday = n[2],
                    .tm_hour = n[3],
                    .tm_min = n[4],
                    .tm_sec = n[5]};
    *ret_ms = ((int64_t)timegm(&tm) - (int64_t)zone * 60) * 1000 + ms;
    return ERR_OK;
}
