#include "services/gateway/results.h"

#include <string.h>

/* The quote that ends the string whose text begins at `text`; NULL when there is none. One behind
 * an odd number of backslashes belongs to the text. */
static const char *string_end(const char *text, const char *end)
{
    const char *at = text;
    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        const char *first = at;
        while (first > text && first[-1] == '\\')
            first--;
        if ((at - first) % 2 == 0)
            return at;
        at++;
    }
    return NULL;
}

/* Behind the object at `at`, which is a good one; NULL when it has no end. */
static const char *object_end(const char *at, const char *end)
{
    int depth = 0;
    for (; at < end; at++) {
        if (*at == '"') {
            at = string_end(at + 1, end);
            if (!at)
                return NULL;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && --depth == 0) {
            return at + 1;
        }
    }
    return NULL;
}

bool results_split(const char *text, size_t len, size_t count, const char **ret_begins,
                   size_t *ret_lens)
{
    static const char head[] = "{\"results\":[";
    const char *at = text + sizeof(head) - 1, *end = text + len;
    if (len < sizeof(head) || memcmp(text, head, sizeof(head) - 1) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (at == end || *at++ != ','))
            return false;
        const char *after = at < end && *at == '{' ? object_end(at, end) : NULL;
        if (!after)
            return false;
        ret_begins[i] = at;
        ret_lens[i] = (size_t)(after - at);
        at = after;
    }
    return end - at == 2 && memcmp(at, "]}", 2) == 0;
}
