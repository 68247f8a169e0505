/* SPDX-License-Identifier: Apache-2.0 */
/* A device tree that a test reads from a file and changes. */
#ifndef AXVM_TEST_TREE_H
#define AXVM_TEST_TREE_H

#include "ranges.h"
#include <stddef.h>

#define TREE_SIZE 65536U

extern union tree {
    char bytes[TREE_SIZE];
    uint64_t align;
} tree;
extern size_t tree_size;

/* As the file has it; open for changes, with room for them. */
void tree_load(const char *file);
void tree_open(const char *file);

int tree_node(const char *path);
void tree_add_node(const char *parent, const char *name);
void tree_delete(const char *path);
void tree_set_cells(const char *path, const char *name, unsigned count, const uint32_t *cells);
void tree_set_string(const char *path, const char *name, const char *text);
void tree_set_strings(const char *path, const char *name, const char *texts); /* each but the last ends with ';' */
void tree_set_empty(const char *path, const char *name);
void tree_delete_property(const char *path, const char *name);

#define SET_CELLS(path, name, ...)                                                                                     \
    tree_set_cells(path, name, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (const uint32_t[]){__VA_ARGS__})

void assert_range(struct range range, uint64_t base, uint64_t end);

/* The next of many versions of a tree, each damaged in one to four bytes; malloc()ed, `size` bytes. */
char *tree_damaged(const char *sound, size_t size, unsigned round);

#endif
