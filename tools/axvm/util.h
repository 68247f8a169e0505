/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the command line. It runs once and ends: what it allocates it doesn't free. */
#ifndef AXVM_TOOL_UTIL_H
#define AXVM_TOOL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed. They end the program when there is no memory. */
void *xalloc(size_t size);
void *xrealloc(void *block, size_t size);
__attribute__((format(printf, 1, 2))) char *xprintf(const char *format, ...);

/* "4096", "0x1000", "256M", "1G": a number of bytes. false if it is none, or too large. */
bool parse_size(const char *text, uint64_t *bytes);

/* The other way: "256M" if it is a multiple of 1 MiB, "4K", else "0x1001". */
const char *format_size(uint64_t bytes, char text[24]);

/*
 * Of words seen one by one, the one that `wanted` was probably meant to be. Start with {wanted}; `best` stays NULL if
 * nothing is near.
 */
struct suggestion {
    const char *wanted;
    const char *best;
    unsigned distance;
};

void suggest(struct suggestion *suggestion, const char *word);

/* Print a word so that a shell reads it as one. */
void print_quoted(const char *word);

#endif
