/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a VM's images go. The same code plans for `axvm check` (from files) and for axvm_init() (from memory), before
 * anything is mapped.
 *
 * An address that the configuration gives is taken as it is. The others are found in RAM whose flags allow reading,
 * writing and execution (RAM: every memory region that is not DEVICE; regions that touch count as one):
 *
 *   kernel   Linux: text_offset above the lowest 2 MiB boundary where it fits, with all the memory its header asks for.
 *            Flat: at the lowest 2 MiB boundary where it fits. Both in the platform's usual RAM if they fit there, else
 *            in the lowest RAM that has the room. ELF: at its own physical addresses, always; nothing is put
 *            between its segments.
 *   entry    An ELF's own, else the kernel's first byte; without a kernel, the BIOS image's first byte.
 *   bios     Only where bios_load_addr says: there is no usual place.
 *   dtb      As high as it fits within 512 MiB of the kernel's 2 MiB boundary (Linux before 4.2 wants that), so that
 *            an image which doesn't say how much memory it uses has the most above it; on a 2 MiB boundary if it can.
 *   ramdisk  As high as it fits within those 512 MiB, page-aligned, above or below the device tree; if it is too large
 *            for that, within the 32 GiB that Linux can reach from the kernel (booting.rst), and last anywhere.
 *
 * booting.rst is arm64's. RISC-V's boot.rst asks for less: the kernel on a 2 MiB boundary (its text_offset is 2 MiB,
 * where firmware would be), device tree and ramdisk anywhere. What is good for the one is good for the other.
 */
#ifndef AXVM_CORE_LAYOUT_H
#define AXVM_CORE_LAYOUT_H

#include "core/image.h"
#include <axvm/axvm.h>

struct layout {
    gpa_t entry;
    gpa_t kernel, bios, dtb, ramdisk; /* load addresses; an image with size 0 is absent */
    uint64_t kernel_size;             /* in memory, BSS included; an ELF's from its first to its last byte */
    uint64_t dtb_size;                /* room kept for the device tree, a multiple of 4 KiB */
    uint64_t ramdisk_size, bios_size;
};

/*
 * Compute the layout of a completed configuration whose images are `images` (data NULL: absent). The kernel's is what
 * image_probe() found; of the others only data and size count, as they are loaded whole. Without a DTB image there is
 * room for a generated tree.
 *
 * Reports every fault: image outside RAM, images that overlap (naming both), no room for one (and how much is missing),
 * entry outside executable RAM, a compressed or foreign kernel, a kernel or ramdisk where Linux can't use it. Returns 0
 * or AXVM_EINVAL; *layout is filled in as far as it got.
 */
int layout_plan(const struct axvm_config *config, const struct axvm_platform *platform,
                const struct image images[AXVM_IMAGE_COUNT], struct axvm_config_report *report, struct layout *layout);

#endif
