/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own address space: EL2 stage 1 without VHE, VA = PA (Arm ARM D8.2). */
#ifndef METAL_AARCH64_MMU_H
#define METAL_AARCH64_MMU_H

#include "machine.h"

#define MMU_LEVELS 4U /* of tables, at most */

/* What mmu_load (entry.S) puts into the registers; it knows the order. */
struct mmu_regs {
    uint64_t ttbr, tcr, mair, sctlr;
};

/* What the boot pCPU, and later each other, starts with. */
extern struct mmu_regs mmu_boot;

void mmu_switch(const struct mmu_regs *regs);

/* With the MMU off: mapping_early()'s tables, into mmu_boot. False: there are none. */
bool mmu_early(const void *fdt);

/*
 * Make the final table (mapping.h has what is in it) and use it. AXVM_ENOMEM, AXVM_EINVAL.
 */
int mmu_start(const struct machine *machine, const struct ranges *ram, const uint64_t *guards, unsigned guard_count);

#endif
