/* SPDX-License-Identifier: Apache-2.0 */
#include "mmu.h"

#include "host_cpu.h"
#include "host_layout.h"
#include "lib/log.h"
#include "mapping.h"

/* satp (Privileged 1.13, 12.1.11): Sv39 is 8, Sv48 9, Sv57 10 */
#define SATP(levels, root) ((uint64_t)((levels) + 5U) << 60 | (root) >> AXVM_PAGE_SHIFT)

/* Sv39 has 39 bits, of which the lower half is ours; each further level has 9 more. */
#define SV39_BITS 38U

struct mmu_regs mmu_boot;

static unsigned bits_for(uint64_t end)
{
    return end <= UINT64_C(1) << SV39_BITS ? SV39_BITS : 64 - (unsigned)__builtin_clzll(end - 1);
}

bool mmu_early(const void *fdt)
{
    uint64_t image = address_of(image_start);
    unsigned bits = bits_for((image | address_of(fdt)) + MACHINE_FDT_MAX);
    struct early_format format = {
        .levels = 3 + (bits - SV39_BITS + 8) / 9,
        .shift = 2,
        .table = 0x01, /* V */
        .leaf = 0xef,  /* D, A, G, X, W, R, V */
    };
    uint64_t root = image % MIB(2) == 0 && format.levels <= MMU_LEVELS ? mapping_early(&format, fdt) : 0;

    mmu_boot.satp = SATP(format.levels, root);
    return root != 0;
}

int mmu_start(const struct machine *machine, const struct ranges *ram, const uint64_t *guards, unsigned guard_count)
{
    static struct pagetable table;
    unsigned bits = bits_for(mapping_reach(machine, ram));
    int error = mapping_make(&table, &pt_riscv64_host, bits, machine, ram, guards, guard_count);

    if (error) {
        return error;
    }
    mmu_boot.satp = SATP(table.levels, table.root.v);
    if (!mmu_switch(&mmu_boot)) {
        return fail(AXVM_EUNSUPPORTED, "the CPU can't translate addresses of %u bits", table.input_bits);
    }
    return AXVM_OK;
}
