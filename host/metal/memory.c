/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include "host_cpu.h"
#include "lib/log.h"
#include <libfdt.h>

struct frames memory;
struct claims claims = {.frames = &memory};
struct ranges memory_mapped;

static uint64_t loaded; /* bytes that are the boot loader's doing: the image's file, device tree, initrd */

/* Only while booting */
static struct ranges later __attribute__((section(".bss.once")));
static struct ranges now __attribute__((section(".bss.once")));

static struct range whole_pages(uint64_t base, uint64_t end)
{
    return (struct range){base & ~(AXVM_PAGE_SIZE - 1), (end + AXVM_PAGE_SIZE - 1) & ~(AXVM_PAGE_SIZE - 1)};
}

static void use(struct range range)
{
    (void)ranges_add(&claims.used, range.base, range.end); /* a dozen at most: there is room */
}

/* Keep a range out of the allocator, and mapped. */
static void keep(struct range range)
{
    ranges_remove(&later, range.base, range.end);
    use(range);
    if (!ranges_add(&memory_mapped, range.base, range.end)) {
        log_warn("memory is in too many pieces: 0x%llx isn't mapped", (unsigned long long)range.base);
    }
}

static void use_devices(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->device_count; i++) {
        use(whole_pages(machine->device[i].base, machine->device[i].end));
    }
}

static uint64_t bytes_in(const struct ranges *list)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < list->count; i++) {
        bytes += list->range[i].end - list->range[i].base;
    }
    return bytes;
}

static void release_all(const struct ranges *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        frames_release(&memory, list->range[i].base, list->range[i].end - list->range[i].base);
    }
}

void memory_init(const struct machine *machine, const void *fdt, struct range window)
{
    memory.owned = machine->memory;
    later = machine->memory;
    memory_mapped = machine->mapped;
    claims.aside = machine->aside;
    claims.unclaimed = machine->aside;
    use_devices(machine);
    keep((struct range){address_of(image_start), address_of(image_end)});
    keep(whole_pages(address_of(fdt), address_of(fdt) + fdt_totalsize(fdt)));
    if (machine->initrd.base != machine->initrd.end) {
        keep(whole_pages(machine->initrd.base, machine->initrd.end));
    }
    loaded = bytes_in(&memory.owned) - bytes_in(&later) - (address_of(image_end) - address_of(image_once));
    now = later;
    ranges_remove(&now, 0, window.base);
    ranges_remove(&now, window.end, UINT64_MAX);
    ranges_remove(&later, window.base, window.end);
    release_all(&now);
}

void memory_open(void)
{
    release_all(&later);
    frames_release(&memory, address_of(image_once), address_of(image_once_end) - address_of(image_once));
}

uint64_t memory_kept(void)
{
    return bytes_in(&memory.owned) - loaded - memory.free * AXVM_PAGE_SIZE;
}
