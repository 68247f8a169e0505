/* SPDX-License-Identifier: Apache-2.0 */
#include "diag.h"

#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_SHOWN 160
#define COMPLAINT_MAX 8192 /* a path has 4096 at most */

struct entry {
    enum diag_level level;
    const struct source *source;
    struct toml_place at;
    unsigned order;
    char text[320];
};

static struct entry *entries;
static unsigned count;
static unsigned errors;

void diag(enum diag_level level, const struct source *source, struct toml_place at, const char *format, ...)
{
    struct entry *entry;
    va_list args;

    entries = xrealloc(entries, (count + 1) * sizeof(*entries));
    entry = &entries[count];
    *entry = (struct entry){.level = level, .source = source, .at = at, .order = count};
    count++;
    errors += level == DIAG_ERROR;
    va_start(args, format);
    vsnprintf(entry->text, sizeof(entry->text), format, args);
    va_end(args);
}

unsigned diag_errors(void)
{
    return errors;
}

static int by_number(unsigned a, unsigned b)
{
    return a < b ? -1 : a > b;
}

static int by_place(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = by_number(a->source->order, b->source->order);

    order = order ? order : by_number(a->at.line, b->at.line);
    order = order ? order : by_number(a->at.column, b->at.column);
    return order ? order : by_number(a->order, b->order);
}

void print_clean(FILE *to, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        fputc((c < ' ' && c != '\t') || c == 0x7f ? '?' : c, to);
    }
}

static const char *find_line(const struct source *source, unsigned line, size_t *length)
{
    const char *at = source->text, *end = source->text + source->size;
    const char *stop;

    for (unsigned i = 1; at && i < line; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    if (!at) {
        return NULL;
    }
    stop = memchr(at, '\n', (size_t)(end - at));
    *length = (size_t)((stop ? stop : end) - at);
    *length -= *length > 0 && at[*length - 1] == '\r';
    return at;
}

/* Blanks up to the column: one for each character, which in UTF-8 may be several bytes; a tab stays a tab. */
static void print_caret(const char *line, size_t length, unsigned column)
{
    unsigned characters = 1;

    for (size_t i = 0; i < length && characters < column; i++) {
        if (i + 1 == length || ((unsigned char)line[i + 1] & 0xc0U) != 0x80U) {
            fputc(line[i] == '\t' ? '\t' : ' ', stderr);
            characters++;
        }
    }
    fputs("^\n", stderr);
}

static void print_entry(const struct entry *entry)
{
    const char *level = entry->level == DIAG_ERROR ? "error" : "warning";
    size_t length;
    const char *line;

    if (!entry->at.line) {
        fprintf(stderr, "%s: %s: ", entry->source->path, level);
    } else {
        fprintf(stderr, "%s:%u:%u: %s: ", entry->source->path, entry->at.line, entry->at.column, level);
    }
    print_clean(stderr, entry->text, strlen(entry->text));
    fputc('\n', stderr);
    line = entry->at.line ? find_line(entry->source, entry->at.line, &length) : NULL;
    if (!line || !length || length > LINE_MAX_SHOWN) {
        return;
    }
    fputs("    ", stderr);
    print_clean(stderr, line, length);
    fputs("\n    ", stderr);
    print_caret(line, length, entry->at.column);
}

void diag_print(void)
{
    if (count) {
        qsort(entries, count, sizeof(*entries), by_place);
    }
    for (unsigned i = 0; i < count; i++) {
        print_entry(&entries[i]);
    }
    free(entries);
    entries = NULL;
    count = 0;
}

void complain(const char *format, ...)
{
    char text[COMPLAINT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fputs("axvm: ", stderr);
    print_clean(stderr, text, strlen(text));
    fputc('\n', stderr);
}
