#include "services/sandbox/faults.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"

enum { TEXTS_MAX = 1024, WORD_MAX = 64, SLOW_MAX_MS = 600000, NUMBER_MAX = 1000000000 };

/* How often a text with a counted word came; the oldest is forgotten when the table is full. */
struct faults {
    struct {
        uint64_t hash;
        unsigned count;
    } texts[TEXTS_MAX];
    unsigned next;
};

struct faults *faults_new(void)
{
    return mem_alloc(sizeof(struct faults));
}

void faults_destroy(struct faults **faults_p)
{
    free(*faults_p);
    *faults_p = NULL;
}

static uint64_t hash_text(const char *text, const char *word)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    hash *= UINT64_C(1099511628211);
    for (const char *c = word; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

static unsigned count_up(struct faults *faults, uint64_t hash)
{
    for (unsigned i = 0; i < TEXTS_MAX; i++)
        if (faults->texts[i].hash == hash)
            return ++faults->texts[i].count;
    unsigned slot = faults->next++ % TEXTS_MAX;
    faults->texts[slot].hash = hash;
    return faults->texts[slot].count = 1;
}

/* Cuts the "xN" off a word; 0: it has none and holds always. */
static unsigned take_times(char *word)
{
    char *x = strrchr(word, 'x');
    if (!x || x == word || !isdigit((unsigned char)x[1]) || x[1 + strspn(x + 1, "0123456789")])
        return 0;
    *x = 0;
    return (unsigned)strtoul(x + 1, NULL, 10);
}

static int64_t slow_ms(const char *seconds)
{
    double ms = strtod(seconds, NULL) * 1000;
    return ms >= 0 && ms <= SLOW_MAX_MS ? (int64_t)ms : SLOW_MAX_MS; /* NaN too */
}

static int64_t whole(const char *number)
{
    long long value = strtoll(number, NULL, 10);
    return value > 0 && value < NUMBER_MAX ? value : 0;
}

/* The words that have a value behind '='. */
static bool apply_value(struct fault *fault, const char *word)
{
    const char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value++ - word) : 0;
    if (!value)
        return false;
    if (strncmp(word, "slow", len) == 0)
        fault->slow_ms = slow_ms(value);
    else if (strncmp(word, "drip", len) == 0)
        fault->drip_ms = slow_ms(value);
    else if (strncmp(word, "retry", len) == 0)
        fault->retry_after_ms = slow_ms(value);
    else if (strncmp(word, "window", len) == 0)
        fault->window = whole(value);
    else if (strncmp(word, "finish", len) == 0)
        snprintf(fault->finish, sizeof(fault->finish), "%.31s", value);
    return true;
}

static void apply(struct fault *fault, const char *word)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"cut", &fault->cut},
        {"garbage", &fault->garbage},
        {"loop", &fault->loop},
        {"stall", &fault->stall},
        {"broken", &fault->broken},
        {"nodone", &fault->no_done},
        {"nostream", &fault->no_stream},
        {"nooptions", &fault->no_options},
        {"nousage", &fault->no_usage},
        {"refusal", &fault->refusal},
    };
    int status = (int)strtol(word, NULL, 10);
    if (status >= 400 && status <= 599)
        fault->status = status;
    else if (strcmp(word, "quota") == 0)
        fault->status = 429, fault->quota = true;
    else if (!apply_value(fault, word))
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            if (strcmp(word, flags[i].word) == 0)
                *flags[i].flag = true;
}

static void take_word(struct faults *faults, struct fault *fault, const char *text,
                      const char *start, size_t len)
{
    char word[WORD_MAX];
    if (len == 0 || len >= sizeof(word))
        return;
    memcpy(word, start, len);
    word[len] = 0;
    uint64_t hash = hash_text(text, word);
    unsigned times = take_times(word);
    if (times == 0 || count_up(faults, hash) <= times)
        apply(fault, word);
}

struct fault faults_take(struct faults *faults, const char *text, const char *header)
{
    static const char OPEN[] = "[sandbox:";
    struct fault fault = {0};
    unsigned budget = 16;
    for (const char *at = text; (at = strstr(at, OPEN)) && budget--;) {
        at += sizeof(OPEN) - 1;
        take_word(faults, &fault, text, at, strcspn(at, "]\n"));
    }
    for (const char *at = header; at && *at && budget--;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        take_word(faults, &fault, text, at, len);
        at += len;
    }
    return fault;
}
