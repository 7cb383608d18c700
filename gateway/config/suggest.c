#include "gateway/config/bind_priv.h"

enum { WORD_MAX = 32 };

/* Steps from one word to another: a letter put in, left out, changed, or two next to each other
 * swapped (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *sg_config_suggest(const char *word, const char *const *known, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(word), least = len < 4 ? 1 : len < 8 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        size_t steps = distance(word, known[i]);
        /* The beginning of a longer name is how people remember it. */
        if (steps > least && len >= 3 && strncmp(known[i], word, len) == 0)
            steps = least;
        if (steps <= least && (best == NULL || steps < least)) {
            best = known[i];
            least = steps;
        }
    }
    return best;
}
