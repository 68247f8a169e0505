/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's memory as the host divides it while booting. */
#ifndef METAL_MEMORY_H
#define METAL_MEMORY_H

#include "claims.h"
#include "machine.h"

extern struct frames memory;
extern struct claims claims;

/*
 * Own the machine's memory but for what firmware reserves. Free is at first only what is mapped already, in `window`.
 * The image, the device tree at `fdt` and the initrd stay in use.
 */
void memory_init(const struct machine *machine, const void *fdt, struct range window);

/* Everything is mapped: free the rest, and what only booting needed. */
void memory_open(void);

/* Bytes in use by now, beside what the boot loader put into memory: image file, device tree, initrd. */
uint64_t memory_kept(void);

/*
 * What the hypervisor maps as RAM: all that may be, the device tree and the initrd in any case. Not the stacks' guards.
 */
extern struct ranges memory_mapped;

#endif
