/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own address space, VA = PA: what the tables have that the architecture's mmu.c switches to. */
#ifndef METAL_MAPPING_H
#define METAL_MAPPING_H

#include "machine.h"
#include "mem/pagetable.h"

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
