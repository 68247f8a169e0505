/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own address space: HS mode's Sv39, Sv48 or Sv57, VA = PA (RISC-V Privileged 1.13, 12.3 ff.). */
#ifndef METAL_RISCV64_MMU_H
#define METAL_RISCV64_MMU_H

#include "machine.h"

#define MMU_LEVELS 5U /* of tables, at most */

/* What mmu_switch (entry.S) puts into the registers. */
struct mmu_regs {
    uint64_t satp;
};

/* What the boot pCPU, and later each other, starts with. */
extern struct mmu_regs mmu_boot;

bool mmu_switch(const struct mmu_regs *regs);

/*
 * With translation off: mapping_early()'s tables, into mmu_boot. False: there are none, or the image isn't where the
 * boot protocol wants it.
 */
bool mmu_early(const void *fdt);

/*
 * Make the final table (mapping.h has what is in it) and use it. AXVM_ENOMEM, AXVM_EINVAL;
 * AXVM_EUNSUPPORTED: addresses are wider than what the CPU translates.
 */
int mmu_start(const struct machine *machine, const struct ranges *ram, const uint64_t *guards, unsigned guard_count);

#endif
