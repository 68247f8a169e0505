/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AXVM_LIB_FDT_CHECK_H
#define AXVM_LIB_FDT_CHECK_H

#include <stddef.h>

/*
 * Whether `size` bytes at `fdt` (aligned to 8) are a device tree that libfdt's functions can walk: 0, or an error of
 * libfdt's (-FDT_ERR_*). Any bytes may be there.
 *
 * libfdt's own fdt_check_full() isn't asked: not every copy of the library has it, and 1.6.1's falls over a tree of a
 * version before 16 whose root isn't called "/". Versions before 17, which don't say how long the structure is, are
 * refused: dtc has written 17 since 2005.
 * (Devicetree Specification 0.4, section 5)
 */
int fdt_check_sound(const void *fdt, size_t size);

/*
 * The same, and whether it can be brought up to date for a guest. -FDT_ERR_BADNCELLS: addresses and sizes at its root,
 * or the ids of its CPUs, have neither one cell nor two.
 */
int fdt_check_guest(const void *fdt, size_t size);

#endif
