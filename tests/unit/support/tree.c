/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include <cmocka.h>

union tree tree;
size_t tree_size;

void tree_load(const char *name)
{
    FILE *file = fopen(name, "rb");

    assert_non_null(file);
    tree_size = fread(tree.bytes, 1, sizeof(tree.bytes), file);
    fclose(file);
}

void tree_open(const char *name)
{
    tree_load(name);
    assert_int_equal(fdt_open_into(tree.bytes, tree.bytes, TREE_SIZE), 0);
    tree_size = TREE_SIZE;
}

int tree_node(const char *path)
{
    int offset = fdt_path_offset(tree.bytes, path);

    assert_true(offset >= 0);
    return offset;
}

void tree_add_node(const char *parent, const char *name)
{
    assert_true(fdt_add_subnode(tree.bytes, tree_node(parent), name) >= 0);
}

void tree_delete(const char *path)
{
    assert_int_equal(fdt_del_node(tree.bytes, tree_node(path)), 0);
}

void tree_set_cells(const char *path, const char *name, unsigned count, const uint32_t *cells)
{
    assert_int_equal(fdt_setprop(tree.bytes, tree_node(path), name, NULL, 0), 0);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdt_appendprop_u32(tree.bytes, tree_node(path), name, cells[i]), 0);
    }
}

void tree_set_string(const char *path, const char *name, const char *text)
{
    assert_int_equal(fdt_setprop(tree.bytes, tree_node(path), name, text, (int)strlen(text) + 1), 0);
}

void tree_set_strings(const char *path, const char *name, const char *texts)
{
    int size = (int)strlen(texts) + 1;
    char *list;

    assert_int_equal(fdt_setprop_placeholder(tree.bytes, tree_node(path), name, size, (void **)&list), 0);
    for (int i = 0; i < size; i++) {
        list[i] = texts[i] == ';' ? '\0' : texts[i];
    }
}

void tree_set_empty(const char *path, const char *name)
{
    assert_int_equal(fdt_setprop_empty(tree.bytes, tree_node(path), name), 0);
}

void tree_delete_property(const char *path, const char *name)
{
    assert_int_equal(fdt_delprop(tree.bytes, tree_node(path), name), 0);
}

void assert_range(struct range range, uint64_t base, uint64_t end)
{
    assert_int_equal(range.base, base);
    assert_int_equal(range.end, end);
}

char *tree_damaged(const char *sound, size_t size, unsigned round)
{
    static uint32_t seed = 99;
    char *exact = malloc(size);

    assert_non_null(exact);
    memcpy(exact, sound, size);
    for (unsigned n = round % 4; n < 4; n++) {
        seed = seed * 1664525U + 1013904223U;
        exact[(seed >> 8) % size] = (char)(round % 3 == 0 ? 0xff : round % 3 == 1 ? seed >> 24 : 0);
    }
    return exact;
}
