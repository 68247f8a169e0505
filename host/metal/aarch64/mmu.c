/* SPDX-License-Identifier: Apache-2.0 */
#include "mmu.h"

#include "arch/aarch64/stage2.h"
#include "host_cpu.h"
#include "host_layout.h"
#include "mapping.h"

#define TCR_EL2_RES1 (UINT64_C(1) << 31 | UINT64_C(1) << 23)
#define TCR_EL2_PS(range) ((uint64_t)(range) << 16)
#define TCR_EL2_WALKS (UINT64_C(3) << 12 | UINT64_C(1) << 10 | UINT64_C(1) << 8) /* inner shareable, write-back */
#define TCR_EL2_T0SZ(bits) (UINT64_C(64) - (bits))

#define SCTLR_EL2_RES1 UINT64_C(0x30c50830)
#define SCTLR_EL2_M (UINT64_C(1) << 0)
#define SCTLR_EL2_C (UINT64_C(1) << 2)
#define SCTLR_EL2_SA (UINT64_C(1) << 3)
#define SCTLR_EL2_I (UINT64_C(1) << 12)
#define SCTLR_EL2_WXN (UINT64_C(1) << 19)
#define SCTLR_EL2_ON (SCTLR_EL2_RES1 | SCTLR_EL2_M | SCTLR_EL2_C | SCTLR_EL2_SA | SCTLR_EL2_I)

#define EARLY_BITS 48U

struct mmu_regs mmu_boot;

static uint64_t mmu_tcr(unsigned input_bits)
{
    uint64_t range = sysreg_read(ID_AA64MMFR0_EL1) & 0xfU;

    return TCR_EL2_RES1 | TCR_EL2_PS(range > 5 ? 5 : range) | TCR_EL2_WALKS | TCR_EL2_T0SZ(input_bits);
}

bool mmu_early(const void *fdt)
{
    static const struct early_format format = {
        .levels = MMU_LEVELS,
        .table = 3,
        .leaf = 0x745, /* valid, AF, inner shareable, AttrIndx 1, AP[1] (RES1) */
    };
    uint64_t root = address_of(fdt) >> EARLY_BITS == 0 ? mapping_early(&format, fdt) : 0;

    mmu_boot = (struct mmu_regs){
        .ttbr = root,
        .tcr = mmu_tcr(EARLY_BITS),
        .mair = EL2_MAIR,
        .sctlr = SCTLR_EL2_ON,
    };
    return root != 0;
}

static unsigned bits_for(uint64_t end)
{
    return end <= GIB(4) ? 32 : 64 - (unsigned)__builtin_clzll(end - 1);
}

int mmu_start(const struct machine *machine, const struct ranges *ram, const uint64_t *guards, unsigned guard_count)
{
    static struct pagetable table;
    unsigned bits = bits_for(mapping_reach(machine, ram));
    int error = mapping_make(&table, &pt_aarch64_el2, bits, machine, ram, guards, guard_count);

    if (error) {
        return error;
    }
    mmu_boot = (struct mmu_regs){
        .ttbr = table.root.v,
        .tcr = mmu_tcr(bits),
        .mair = EL2_MAIR,
        .sctlr = SCTLR_EL2_ON | SCTLR_EL2_WXN,
    };
    cpu_clean(&mmu_boot, sizeof(mmu_boot));
    mmu_switch(&mmu_boot);
    return AXVM_OK;
}
