/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with files: collected, then printed in the order of files, lines and columns. */
#ifndef AXVM_TOOL_DIAG_H
#define AXVM_TOOL_DIAG_H

#include "toml.h"

#include <stdio.h>

/* A text file that diagnostics point into. */
struct source {
    const char *path;
    unsigned order; /* on the command line */
    const char *text;
    size_t size;
};

enum diag_level {
    DIAG_ERROR,
    DIAG_WARNING,
};

/* line 0: the file as a whole. */
__attribute__((format(printf, 4, 5)))
void diag(enum diag_level level, const struct source *source, struct toml_place at, const char *format, ...);

/* Errors so far. */
unsigned diag_errors(void);

/* Print all to stderr: "file:line:col: error: text", the line, and a caret below the column. */
void diag_print(void);

/* A file may contain anything, a terminal obeys control characters: they are printed as question marks, but tabs. */
void print_clean(FILE *to, const char *text, size_t length);

/* A message that is about no place in a file: "axvm: text" on stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

#endif
