/* SPDX-License-Identifier: Apache-2.0 */
#include "mapping.h"

#include "host_cpu.h"
#include "host_layout.h"
#include "lib/log.h"
#include "mmu.h"
#include <libfdt.h>

/* ---- The first tables -------------------------------------------------------------------------------------------- */

#define EARLY_SIZE MIB(2)
/* The root; for each of the image, the device tree's begin and its end all levels between it and the last. */
#define EARLY_TABLES (1 + 3 * (MMU_LEVELS - 2))

static uint64_t early_tables[EARLY_TABLES][512] __attribute__((section(".bss.once"), aligned(4096)));

static void early_map(const struct early_format *format, unsigned *used, uint64_t addr)
{
    uint64_t *table = early_tables[0];

    for (unsigned shift = 12 + 9 * (format->levels - 1); shift > 21; shift -= 9) {
        uint64_t *entry = &table[addr >> shift & 511U];

        if (*entry == 0) {
            *entry = address_of(early_tables[(*used)++]) >> format->shift | format->table;
        }
        table = (uint64_t *)(uintptr_t)((*entry & ~format->table) << format->shift);
    }
    table[addr >> 21 & 511U] = (addr & ~(EARLY_SIZE - 1)) >> format->shift | format->leaf;
}

uint64_t mapping_early(const struct early_format *format, const void *fdt)
{
    uint64_t at = address_of(fdt), size;
    unsigned used = 1;

    if (at == 0 || at % 8 != 0 || fdt_magic(fdt) != FDT_MAGIC) {
        return 0;
    }
    size = fdt_totalsize(fdt);
    if (size > MACHINE_FDT_MAX || size == 0) {
        return 0;
    }
    early_map(format, &used, address_of(image_start));
    early_map(format, &used, at);
    early_map(format, &used, at + size - 1);
    return address_of(early_tables);
}

struct range mapping_early_window(void)
{
    uint64_t base = address_of(image_start) & ~(EARLY_SIZE - 1);

    return (struct range){base, base + EARLY_SIZE};
}

/* ---- The final ones ---------------------------------------------------------------------------------------------- */

static int map(struct pagetable *table, uint64_t base, uint64_t end, uint32_t flags)
{
    base &= ~(AXVM_PAGE_SIZE - 1);
    end = (end + AXVM_PAGE_SIZE - 1) & ~(AXVM_PAGE_SIZE - 1);
    return base < end ? pagetable_map(table, gpa(base), hpa(base), end - base, flags, PT_MAX_LEAF_LEVEL) : AXVM_OK;
}

static int map_image(struct pagetable *table)
{
    uint64_t text = address_of(image_start), rodata = address_of(image_rodata), data = address_of(image_data);
    uint64_t guard = address_of(boot_stack), end = address_of(image_end);
    int error = map(table, text, rodata, AXVM_MEM_READ | AXVM_MEM_EXEC);

    error = error ? error : map(table, rodata, data, AXVM_MEM_READ);
    error = error ? error : map(table, data, guard, AXVM_MEM_RW);
    return error ? error : map(table, guard + STACK_GUARD, end, AXVM_MEM_RW);
}

static int map_devices(struct pagetable *table, const struct machine *machine)
{
    const uint32_t flags = AXVM_MEM_RW | AXVM_MEM_DEVICE;
    int error = AXVM_OK;

    for (unsigned i = 0; i < machine->device_count && !error; i++) {
        error = map(table, machine->device[i].base, machine->device[i].end, flags);
    }
    return error;
}

uint64_t mapping_reach(const struct machine *machine, const struct ranges *ram)
{
    uint64_t end = address_of(image_end);

    for (unsigned i = 0; i < machine->device_count; i++) {
        end |= machine->device[i].end;
    }
    for (unsigned i = 0; i < ram->count; i++) {
        end |= ram->range[i].end;
    }
    return end;
}

int mapping_make(struct pagetable *table, const struct pt_format *format, unsigned bits, const struct machine *machine,
                 const struct ranges *ram, const uint64_t *guards, unsigned guard_count)
{
    static struct ranges rest __attribute__((section(".bss.once"))); /* RAM without the image */
    int error = pagetable_init(table, format, bits, NULL);

    rest = *ram;
    ranges_remove(&rest, address_of(image_start), address_of(image_end));
    error = error ? error : map_image(table);
    for (unsigned i = 0; i < rest.count && !error; i++) {
        error = map(table, rest.range[i].base, rest.range[i].end, AXVM_MEM_RW);
    }
    error = error ? error : map_devices(table, machine);
    for (unsigned i = 0; i < guard_count && !error; i++) {
        error = pagetable_unmap(table, gpa(guards[i]), STACK_GUARD, NULL, NULL);
    }
    return error ? fail(error, "the hypervisor's own memory can't be mapped") : AXVM_OK;
}
