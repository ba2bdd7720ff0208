#include "services/google/when.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exactly so many digits; moves `at` behind them. */
static bool digits(const char **at, int count, int *ret_number)
{
    int number = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (!isdigit((unsigned char)**at))
            return false;
        number = number * 10 + (**at - '0');
    }
    *ret_number = number;
    return true;
}

static bool skip(const char **at, char c)
{
    bool there = **at == c;
    *at += there;
    return there;
}

static bool read_day(const char **at, struct tm *tm)
{
    if (!digits(at, 4, &tm->tm_year) || !skip(at, '-') || !digits(at, 2, &tm->tm_mon) ||
        !skip(at, '-') || !digits(at, 2, &tm->tm_mday))
        return false;
    struct tm same = {
        .tm_year = tm->tm_year - 1900, .tm_mon = tm->tm_mon - 1, .tm_mday = tm->tm_mday};
    struct tm real = same;
    /* A day that a month has not got becomes one of the next month. */
    if (tm->tm_year < 1 || timegm(&real) == -1 || real.tm_mday != same.tm_mday ||
        real.tm_mon != same.tm_mon)
        return false;
    tm->tm_year = same.tm_year;
    tm->tm_mon = same.tm_mon;
    return true;
}

static bool read_clock(const char **at, struct tm *tm)
{
    if (!digits(at, 2, &tm->tm_hour) || !skip(at, ':') || !digits(at, 2, &tm->tm_min))
        return false;
    if (skip(at, ':')) {
        if (!digits(at, 2, &tm->tm_sec))
            return false;
        if (**at == '.' || **at == ',') {
            if (!isdigit((unsigned char)*++*at))
                return false;
            while (isdigit((unsigned char)**at))
                ++*at;
        }
    }
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

/* Z or ±hh[:]mm; false when malformed. None at all: *ret_there stays false. */
static bool read_offset(const char **at, bool *ret_there, int *ret_minutes)
{
    int hours = 0, minutes = 0;
    *ret_there = false;
    *at += strspn(*at, " ");
    if (!**at)
        return true;
    *ret_there = true;
    *ret_minutes = 0;
    if (skip(at, 'Z') || skip(at, 'z'))
        return true;
    bool west = **at == '-';
    if (!skip(at, '+') && !skip(at, '-'))
        return false;
    if (!digits(at, 2, &hours))
        return false;
    skip(at, ':');
    if (**at && !digits(at, 2, &minutes))
        return false;
    *ret_minutes = (west ? -1 : 1) * (hours * 60 + minutes);
    return hours <= 23 && minutes <= 59;
}

static void write_text(struct when *when, int offset)
{
    const struct tm *tm = &when->tm;
    char *text = when->text;
    /* strftime writes years before 1000 without their zeros. */
    size_t len = (size_t)snprintf(text, WHEN_TEXT_SIZE, "%04d-%02d-%02d", tm->tm_year + 1900,
                                  tm->tm_mon + 1, tm->tm_mday);
    if (when->kind != WHEN_DAY)
        len += (size_t)snprintf(text + len, WHEN_TEXT_SIZE - len, "T%02d:%02d:%02d", tm->tm_hour,
                                tm->tm_min, tm->tm_sec);
    if (when->kind == WHEN_MOMENT && offset == 0)
        snprintf(text + len, WHEN_TEXT_SIZE - len, "Z");
    else if (when->kind == WHEN_MOMENT)
        snprintf(text + len, WHEN_TEXT_SIZE - len, "%c%02d:%02d", offset < 0 ? '-' : '+',
                 abs(offset) / 60, abs(offset) % 60);
}

enum err when_parse(const char *text, struct when *ret_when)
{
    struct when when = {.kind = WHEN_DAY};
    bool there = false;
    int offset = 0;
    text += strspn(text, " ");
    if (!read_day(&text, &when.tm))
        return ERR_INVALID;
    if (*text == 'T' || *text == 't' || (*text == ' ' && isdigit((unsigned char)text[1]))) {
        text++;
        if (!read_clock(&text, &when.tm) || !read_offset(&text, &there, &offset))
            return ERR_INVALID;
        when.kind = there ? WHEN_MOMENT : WHEN_LOCAL;
    }
    if (text[strspn(text, " ")])
        return ERR_INVALID;
    struct tm tm = when.tm;
    when.ms = there ? ((int64_t)timegm(&tm) - offset * INT64_C(60)) * 1000 : 0;
    write_text(&when, offset);
    *ret_when = when;
    return ERR_OK;
}

void when_next_day(const struct when *day, struct when *ret_next)
{
    struct when next = *day;
    next.tm.tm_mday++;
    struct tm tm = next.tm;
    timegm(&tm); /* carries over the month's end */
    next.tm = tm;
    write_text(&next, 0);
    *ret_next = next;
}
