/* SPDX-License-Identifier: Apache-2.0 */
#include "mmu.h"

#include "host_cpu.h"
#include "host_layout.h"
#include "lib/log.h"
#include "mapping.h"
#include <libfdt.h>

/* satp (Privileged 1.13, 12.1.11): Sv39 is 8, Sv48 9, Sv57 10 */
#define SATP(levels, root) ((uint64_t)((levels) + 5U) << 60 | (root) >> AXVM_PAGE_SHIFT)

/* Sv39 has 39 bits, of which the lower half is ours; each further level has 9 more. */
#define SV39_BITS 38U

struct mmu_regs mmu_boot;

static unsigned bits_for(uint64_t end)
{
    return end <= UINT64_C(1) << SV39_BITS ? SV39_BITS : 64 - (unsigned)__builtin_clzll(end - 1);
}

/* ---- The first table, made with translation off ---------------------------------------------------------------- */

#define EARLY_MAX_LEVELS 5U
#define EARLY_TABLES 10U /* the root; for each of image, begin and end of the device tree at most three levels */
#define EARLY_TABLE UINT64_C(0x01) /* V */
#define EARLY_LEAF UINT64_C(0xef)  /* D, A, G, X, W, R, V */

static uint64_t early_tables[EARLY_TABLES][512] __attribute__((section(".bss.once"), aligned(4096)));

static bool early_map(unsigned *used, unsigned levels, uint64_t addr)
{
    uint64_t *table = early_tables[0];

    for (unsigned shift = 12 + 9 * (levels - 1); shift > 21; shift -= 9) {
        uint64_t *entry = &table[addr >> shift & 511U];

        if (*entry == 0) {
            if (*used == EARLY_TABLES) {
                return false;
            }
            *entry = address_of(early_tables[(*used)++]) >> 2 | EARLY_TABLE;
        }
        table = (uint64_t *)(uintptr_t)((*entry & ~EARLY_TABLE) << 2);
    }
    table[addr >> 21 & 511U] = (addr & ~(MIB(2) - 1)) >> 2 | EARLY_LEAF;
    return true;
}

bool mmu_early(const void *fdt)
{
    uint64_t image = address_of(image_start), at = address_of(fdt), size;
    unsigned used = 1, levels;

    if (image % MIB(2) != 0 || at == 0 || at % 8 != 0 || fdt_magic(fdt) != FDT_MAGIC) {
        return false;
    }
    size = fdt_totalsize(fdt);
    levels = 3 + (bits_for((image | at) + MACHINE_FDT_MAX) - SV39_BITS + 8) / 9;
    if (size > MACHINE_FDT_MAX || size == 0 || levels > EARLY_MAX_LEVELS || !early_map(&used, levels, image) ||
        !early_map(&used, levels, at) || !early_map(&used, levels, at + size - 1)) {
        return false;
    }
    mmu_boot.satp = SATP(levels, address_of(early_tables));
    return true;
}

struct range mmu_early_window(void)
{
    return (struct range){address_of(image_start), address_of(image_start) + MIB(2)};
}

/* ---- The final one --------------------------------------------------------------------------------------------- */

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
