/* SPDX-License-Identifier: Apache-2.0 */
/* TOML 1.0 as a plain tree in which every node knows its place in the file. The parser itself is toml++ (C++17). */
#ifndef AXVM_TOOL_TOML_H
#define AXVM_TOOL_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum toml_kind {
    TOML_KIND_TABLE,
    TOML_KIND_ARRAY,
    TOML_KIND_STRING,
    TOML_KIND_INTEGER,
    TOML_KIND_BOOLEAN,
    TOML_KIND_FLOAT,
    TOML_KIND_DATE, /* dates and times: known, without value */
};

/* From 1; columns count characters. */
struct toml_place {
    unsigned line, column;
};

struct toml_node {
    enum toml_kind kind;
    struct toml_place at;
    char *key; /* member of a table, else NULL */
    struct toml_place key_at;
    char *string;   /* NUL-terminated */
    size_t length;  /* of the string: shows whether it contains NULs */
    int64_t integer;
    bool boolean;
    struct toml_node *items; /* of a table, in the order of the file, or of an array */
    size_t count;
};

struct toml_error {
    struct toml_place at;
    char text[240];
};

/* The document's root table; NULL: *error says why. The parser stops at its first error. */
struct toml_node *toml_read(const char *text, size_t size, struct toml_error *error);
void toml_free(struct toml_node *root);

#ifdef __cplusplus
}
#endif

#endif
