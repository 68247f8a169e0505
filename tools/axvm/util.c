/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include "diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 40U

static void *check(void *block)
{
    if (!block) {
        complain("out of memory");
        exit(1);
    }
    return block;
}

void *xalloc(size_t size)
{
    return check(calloc(1, size ? size : 1));
}

void *xrealloc(void *block, size_t size)
{
    return check(realloc(block, size ? size : 1));
}

char *xprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
    }
    va_end(args);
    return check(text);
}

bool parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *unit;
    unsigned shift = 0;
    char *end;

    if (*text < '0' || *text > '9') { /* strtoull() would take signs and blanks */
        return false;
    }
    errno = 0;
    *bytes = strtoull(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
    unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10U * (unsigned)(unit - units + 1);
        end++;
    }
    if (errno || *end || *bytes > UINT64_MAX >> shift) {
        return false;
    }
    *bytes <<= shift;
    return true;
}

const char *format_size(uint64_t bytes, char text[24])
{
    if (bytes && bytes % (1U << 20) == 0) {
        snprintf(text, 24, "%lluM", (unsigned long long)(bytes >> 20));
    } else if (bytes && bytes % (1U << 10) == 0) {
        snprintf(text, 24, "%lluK", (unsigned long long)(bytes >> 10));
    } else {
        snprintf(text, 24, "%#llx", (unsigned long long)bytes);
    }
    return text;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Insertions, deletions and replacements that make one word of the other (Levenshtein), row by row of the matrix. */
static unsigned distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    unsigned row[WORD_MAX + 1];

    if (strlen(a) > WORD_MAX || width > WORD_MAX) {
        return WORD_MAX;
    }
    for (unsigned j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];

            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}

void suggest(struct suggestion *suggestion, const char *word)
{
    unsigned near = 1 + (unsigned)strlen(suggestion->wanted) / 4;
    unsigned steps = distance(suggestion->wanted, word);

    if (steps <= near && (!suggestion->best || steps < suggestion->distance)) {
        suggestion->best = word;
        suggestion->distance = steps;
    }
}

void print_quoted(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=,./:@%";

    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word; word++) {
        if (*word == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*word);
        }
    }
    putchar('\'');
}
