/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own address space, VA = PA: what the tables have that the architecture's mmu.c switches to. */
#ifndef METAL_MAPPING_H
#define METAL_MAPPING_H

#include "machine.h"
#include "mem/pagetable.h"

/* The tables that do until the final one is made, with translation off. */
struct early_format {
    unsigned levels;      /* at most MMU_LEVELS, each of 9 bits; the last but one maps 2 MiB, the last isn't used */
    unsigned shift;       /* an entry has its address that much further right, */
    uint64_t table, leaf; /* beside these */
};

/*
 * Tables that map no more than the image and the device tree, by 2 MiB, all rights; their root. 0: there is no device
 * tree, or it is too long. Once.
 */
uint64_t mapping_early(const struct early_format *format, const void *fdt);

/* The RAM around the image that mapping_early() has mapped. */
struct range mapping_early_window(void);

/*
 * An address with all the bits that what there is to map has: as wide as the highest, though it may reach a little
 * farther.
 */
uint64_t mapping_reach(const struct machine *machine, const struct ranges *ram);

/*
 * Make a table of `bits` address bits: the image by parts, none writable and executable; `ram` read-write; the
 * machine's devices. `guards` are pages left out, as many as there are. The hal works already. AXVM_ENOMEM,
 * AXVM_EINVAL.
 */
int mapping_make(struct pagetable *table, const struct pt_format *format, unsigned bits, const struct machine *machine,
                 const struct ranges *ram, const uint64_t *guards, unsigned guard_count);

#endif
