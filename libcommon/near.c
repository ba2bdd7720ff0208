#include "libcommon/near.h"

#include <ctype.h>
#include <string.h>

enum { WORD_MAX = 64, LETTER = 2, CASE = 1 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned exchange(char a, char b)
{
    if (a == b)
        return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? CASE : LETTER;
}

/* Damerau's distance between adjacent letters, row by row. */
unsigned near_distance(const char *a, const char *b, unsigned most)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return most + 1;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j * LETTER;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3], *higher = rows[(i + 1) % 3];
        row[0] = (unsigned)i * LETTER;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(above[j], row[j - 1]) + LETTER,
                           above[j - 1] + exchange(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], higher[j - 2] + LETTER);
        }
    }
    return least(rows[n % 3][m], most + 1);
}

void near_begin(struct near *near, const char *word)
{
    *near = (struct near){.word = word};
}

/* A third of the letters may be wrong, three at the most. */
void near_offer(struct near *near, const char *candidate)
{
    size_t len = strlen(near->word);
    unsigned most = LETTER * (unsigned)(len < 3 ? 1 : len < 9 ? (len + 1) / 3 : 3);
    unsigned distance = near_distance(near->word, candidate, most);
    if (distance > most || (near->best && distance >= near->distance))
        return;
    near->best = candidate;
    near->distance = distance;
}
