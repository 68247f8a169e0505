/* SPDX-License-Identifier: Apache-2.0 */
#include "mmu.h"

#include "arch/aarch64/stage2.h"
#include "host_cpu.h"
#include "host_layout.h"
#include "mapping.h"
#include <libfdt.h>

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

struct mmu_regs mmu_boot;

static uint64_t mmu_tcr(unsigned input_bits)
{
    uint64_t range = sysreg_read(ID_AA64MMFR0_EL1) & 0xfU;

    return TCR_EL2_RES1 | TCR_EL2_PS(range > 5 ? 5 : range) | TCR_EL2_WALKS | TCR_EL2_T0SZ(input_bits);
}

/* ---- The first table, made with the MMU off ------------------------------------------------------------------ */

#define EARLY_BITS 48U
#define EARLY_TABLES 7U /* the root, and two levels for each of: the image, the device tree's begin, its end */
#define EARLY_TABLE UINT64_C(3)
#define EARLY_BLOCK UINT64_C(0x745) /* valid, AF, inner shareable, AttrIndx 1, AP[1] (RES1) */

static uint64_t early_tables[EARLY_TABLES][512] __attribute__((section(".bss.once"), aligned(4096)));

static bool early_map(unsigned *used, uint64_t addr)
{
    uint64_t *table = early_tables[0];

    for (unsigned shift = 39; shift > 21; shift -= 9) {
        uint64_t *entry = &table[addr >> shift & 511U];

        if (*entry == 0) {
            if (*used == EARLY_TABLES) {
                return false;
            }
            *entry = address_of(early_tables[(*used)++]) | EARLY_TABLE;
        }
        table = (uint64_t *)(uintptr_t)(*entry & ~EARLY_TABLE);
    }
    table[addr >> 21 & 511U] = (addr & ~(MIB(2) - 1)) | EARLY_BLOCK;
    return true;
}

bool mmu_early(const void *fdt)
{
    uint64_t at = address_of(fdt), size;
    unsigned used = 1;

    if (at == 0 || at % 8 != 0 || at >> EARLY_BITS || fdt_magic(fdt) != FDT_MAGIC) {
        return false;
    }
    size = fdt_totalsize(fdt);
    if (size > MACHINE_FDT_MAX || size == 0 || !early_map(&used, address_of(image_start)) || !early_map(&used, at) ||
        !early_map(&used, at + size - 1)) {
        return false;
    }
    mmu_boot = (struct mmu_regs){
        .ttbr = address_of(early_tables),
        .tcr = mmu_tcr(EARLY_BITS),
        .mair = EL2_MAIR,
        .sctlr = SCTLR_EL2_ON,
    };
    return true;
}

struct range mmu_early_window(void)
{
    uint64_t base = address_of(image_start) & ~(MIB(2) - 1);

    return (struct range){base, base + MIB(2)};
}

/* ---- The final one --------------------------------------------------------------------------------------------- */

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
