/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fdt_check.h"

#include <axvm/types.h>
#include <libfdt.h>
#include <stdbool.h>

#define DEPTH_MAX 64
#define VERSION_MIN 17U

/*
 * A guest's tree with more names of properties than this is none (a large SoC's has 20 KiB): for each property, libfdt
 * looks for the end of the name as far as the end of all names.
 */
#define STRINGS_MAX KIB(64)

/* Header and blocks lie within the buffer, and the memory reservation block ends. */
static int check_blocks(const void *fdt, size_t size)
{
    int error = size < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_header(fdt);

    if (error == 0 && fdt_version(fdt) < VERSION_MIN) {
        error = -FDT_ERR_BADVERSION;
    }
    if (error == 0 && size < fdt_totalsize(fdt)) {
        error = -FDT_ERR_TRUNCATED;
    }
    if (error == 0) {
        int entries = fdt_num_mem_rsv(fdt);

        error = entries < 0 ? entries : 0;
    }
    return error;
}

static int check_tag(const void *fdt, int offset, uint32_t tag, int *depth)
{
    const char *name;
    int length;

    switch (tag) {
    case FDT_BEGIN_NODE:
        if (fdt_get_name(fdt, offset, &length) == NULL) {
            return length;
        }
        /* Only the root has no name. */
        return ++*depth > DEPTH_MAX || (*depth == 1 && length != 0) ? -FDT_ERR_BADSTRUCTURE : 0;
    case FDT_END_NODE:
        return --*depth < 0 ? -FDT_ERR_BADSTRUCTURE : 0;
    case FDT_PROP:
        return fdt_getprop_by_offset(fdt, offset, &name, &length) == NULL ? length : 0;
    case FDT_END:
        return *depth != 0 ? -FDT_ERR_BADSTRUCTURE : 0;
    default:
        return 0;
    }
}

int fdt_check_sound(const void *fdt, size_t size)
{
    int error = check_blocks(fdt, size);
    int depth = 0, next = 0;
    uint32_t tag = FDT_NOP;

    while (error == 0 && tag != FDT_END) { /* ends: each tag takes at least four bytes */
        int offset = next;
        bool root_ended = tag == FDT_END_NODE && depth == 0;

        tag = fdt_next_tag(fdt, offset, &next);
        error = next < 0 ? next : check_tag(fdt, offset, tag, &depth);
        if (error == 0 && root_ended && tag != FDT_END) {
            error = -FDT_ERR_BADSTRUCTURE;
        }
    }
    return error;
}

static bool is_cell_count(int cells)
{
    return cells == 1 || cells == 2;
}

static bool has_sound_cells(const void *fdt)
{
    int cpus = fdt_subnode_offset(fdt, 0, "cpus");

    return is_cell_count(fdt_address_cells(fdt, 0)) && is_cell_count(fdt_size_cells(fdt, 0)) &&
           (cpus < 0 || is_cell_count(fdt_address_cells(fdt, cpus)));
}

int fdt_check_guest(const void *fdt, size_t size)
{
    int error;

    if (size >= sizeof(struct fdt_header) && fdt_size_dt_strings(fdt) > STRINGS_MAX) {
        return -FDT_ERR_BADSTRUCTURE;
    }
    error = fdt_check_sound(fdt, size);
    return error != 0 || has_sound_cells(fdt) ? error : -FDT_ERR_BADNCELLS;
}
