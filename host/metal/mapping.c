/* SPDX-License-Identifier: Apache-2.0 */
#include "mapping.h"

#include "host_cpu.h"
#include "host_layout.h"
#include "lib/log.h"

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
