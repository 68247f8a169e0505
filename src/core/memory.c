/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory.h"

#include "core/device.h"
#include "core/frames.h"
#include "lib/log.h"
#include "mem/area.h"

#define PAGE_MASK (AXVM_PAGE_SIZE - 1)

typedef unsigned long long ull;

/* ---- Regions of RAM ---- */

static int region_record(struct axvm *vm, const struct axvm_memory_region *region, enum vm_region_release release)
{
    if (vm->region_count == VM_MAX_REGIONS) {
        return fail(AXVM_ENOMEM, "VM %u: more than %u memory regions", vm->id, VM_MAX_REGIONS);
    }
    vm->regions[vm->region_count] = (struct vm_region){*region, release};
    vm->region_count++;
    return AXVM_OK;
}

static void region_release(const struct vm_region *entry)
{
    hpa_t base = hpa(entry->region.gpa.v);

    switch (entry->release) {
    case VM_REGION_CLAIM:
        hal->region_release(base, entry->region.size);
        break;
    case VM_REGION_FRAMES:
        frames_give(base, entry->region.size);
        break;
    case VM_REGION_KEEP:
        break;
    }
}

/* Map RAM at GPA = HPA that `release` says how to give back; does so on an error. */
static int region_add_in_place(struct axvm *vm, const struct axvm_memory_region *region, enum vm_region_release release)
{
    struct vm_region entry = {*region, release};
    int error;

    entry.region.needs_release = release != VM_REGION_KEEP;
    if (!(region->flags & AXVM_MEM_DEVICE)) {
        addrspace_zero_frames(&vm->as, hpa(region->gpa.v), region->size); /* not for the guest, what was in it before */
    }
    error = addrspace_map_linear(&vm->as, region->gpa, hpa(region->gpa.v), region->size, region->flags);
    if (error == AXVM_OK) {
        error = region_record(vm, &entry.region, release);
        if (error != AXVM_OK) {
            (void)addrspace_unmap(&vm->as, region->gpa, region->size);
        }
    }
    if (error != AXVM_OK) {
        region_release(&entry);
    }
    return error;
}

static int region_add_alloc(struct axvm *vm, struct axvm_memory_region *region)
{
    int error = addrspace_map_alloc(&vm->as, region->gpa, region->size, region->flags, region->lazy);

    if (error == AXVM_OK) {
        region->needs_release = true;
        error = region_record(vm, region, VM_REGION_KEEP);
        if (error != AXVM_OK) {
            (void)addrspace_unmap(&vm->as, region->gpa, region->size);
        }
    }
    return error;
}

static int claim_refused(const struct axvm *vm, const struct axvm_memory_region *region, int error)
{
    return fail(error, "VM %u: host memory 0x%llx, 0x%llx bytes, %s", vm->id, (ull)region->gpa.v, (ull)region->size,
                error == AXVM_EBUSY ? "is in use" : "isn't all memory that a guest may have");
}

/*
 * Identical and reserved. Both are claimed, so that nobody else gets the memory; what the host can't claim, but lets a
 * guest have nevertheless, is what a reserved region should be, and for an identical one is worth a warning.
 */
static int region_add_claimed(struct axvm *vm, const struct axvm_memory_region *region)
{
    int error = hal->region_claim(hpa(region->gpa.v), region->size);

    if (error == AXVM_OK) {
        return region_add_in_place(vm, region, VM_REGION_CLAIM);
    }
    if (error != AXVM_ENOENT) {
        return claim_refused(vm, region, error);
    }
    if (region->map_type == AXVM_MAP_IDENTICAL) {
        log_warn("VM %u: 0x%llx, 0x%llx bytes, is no allocatable memory of the host's; mapped nevertheless", vm->id,
                 (ull)region->gpa.v, (ull)region->size);
    }
    return region_add_in_place(vm, region, VM_REGION_KEEP);
}

static int range_check(const struct axvm *vm, gpa_t start, uint64_t size)
{
    if (size == 0 || ((start.v | size) & PAGE_MASK) != 0 || size - 1 > UINT64_MAX - start.v) {
        return fail(AXVM_EINVAL, "VM %u: range 0x%llx, 0x%llx bytes, is empty, wraps, or isn't in units of 4 KiB",
                    vm->id, (ull)start.v, (ull)size);
    }
    return AXVM_OK;
}

/* A range to be mapped: sound, and no emulated device in the way. vm->lock is held, or the VM is being initialized. */
static int map_check(struct axvm *vm, gpa_t start, uint64_t size)
{
    const struct axvm_device *device;
    int error = range_check(vm, start, size);

    if (error != AXVM_OK) {
        return error;
    }
    device = device_overlapping(vm, start.v, size);
    if (device != NULL) {
        return fail(AXVM_EEXIST, "VM %u: memory 0x%llx, 0x%llx bytes, overlaps device %s at 0x%llx", vm->id,
                    (ull)start.v, (ull)size, device->ops->name, (ull)device->base);
    }
    return AXVM_OK;
}

static int region_add(struct axvm *vm, struct axvm_memory_region *region)
{
    int error = map_check(vm, region->gpa, region->size);

    if (error != AXVM_OK) {
        return error;
    }
    return region->map_type == AXVM_MAP_ALLOC ? region_add_alloc(vm, region) : region_add_claimed(vm, region);
}

/* ---- For the core ---- */

int memory_map_config(struct axvm *vm)
{
    for (size_t i = 0; i < vm->config.memory_regions_count; i++) {
        const struct axvm_mem_config *config = &vm->config.memory_regions[i];
        struct axvm_memory_region region = {
            .gpa = config->gpa,
            .size = config->size,
            .flags = config->flags,
            .map_type = config->map_type,
            .lazy = config->lazy,
        };
        int error = region_add(vm, &region);

        if (error != AXVM_OK) {
            return error;
        }
    }
    return AXVM_OK;
}

void memory_release(struct axvm *vm)
{
    addrspace_destroy(&vm->as);
    for (unsigned i = 0; i < vm->region_count; i++) {
        region_release(&vm->regions[i]);
    }
    vm->region_count = 0;
}

/* ---- For hosts ---- */

static int check_built(const struct axvm *vm)
{
    return atomic_load_explicit(&vm->built, memory_order_acquire)
               ? AXVM_OK
               : fail(AXVM_EBADSTATE, "VM %u: it has no memory before it is initialized", vm->id);
}

/* Zeroed frames at GPA = HPA. */
static int alloc_anywhere(struct axvm *vm, struct axvm_memory_region *region)
{
    hpa_t base;
    int error = range_check(vm, gpa(0), region->size);

    if (error != AXVM_OK) {
        return error;
    }
    error = frames_take(region->size, &base);
    if (error != AXVM_OK) {
        return fail(error, "VM %u: the host has no run of 0x%llx bytes", vm->id, (ull)region->size);
    }
    region->gpa = gpa(base.v);
    error = map_check(vm, region->gpa, region->size);
    if (error != AXVM_OK) {
        frames_give(base, region->size);
        return error;
    }
    return region_add_in_place(vm, region, VM_REGION_FRAMES);
}

int axvm_alloc_memory_region(struct axvm *vm, struct axvm_opt_u64 at, uint64_t size, uint32_t flags)
{
    struct axvm_memory_region region = {.gpa = gpa(at.value), .size = size, .flags = flags, .map_type = AXVM_MAP_ALLOC};
    int error = check_built(vm);

    if (error != AXVM_OK) {
        return error;
    }
    spin_lock(&vm->lock);
    error = at.given ? region_add(vm, &region) : alloc_anywhere(vm, &region);
    spin_unlock(&vm->lock);
    return error;
}

int axvm_map_reserved_memory_region(struct axvm *vm, gpa_t at, uint64_t size, uint32_t flags)
{
    struct axvm_memory_region region = {.gpa = at, .size = size, .flags = flags, .map_type = AXVM_MAP_RESERVED};
    int error = check_built(vm);

    if (error != AXVM_OK) {
        return error;
    }
    spin_lock(&vm->lock);
    error = region_add(vm, &region);
    spin_unlock(&vm->lock);
    return error;
}

size_t axvm_memory_regions(const struct axvm *vm, struct axvm_memory_region *regions, size_t max)
{
    struct spinlock *lock = &((struct axvm *)vm)->lock;
    size_t count;

    spin_lock(lock);
    count = vm->region_count;
    for (size_t i = 0; i < count && i < max; i++) {
        regions[i] = vm->regions[i].region;
    }
    spin_unlock(lock);
    return count;
}

int axvm_map_region(struct axvm *vm, gpa_t start, hpa_t target, uint64_t size, uint32_t flags)
{
    int error = check_built(vm);

    if (error != AXVM_OK) {
        return error;
    }
    spin_lock(&vm->lock);
    error = map_check(vm, start, size);
    if (error == AXVM_OK) {
        error = addrspace_map_linear(&vm->as, start, target, size, flags);
    }
    spin_unlock(&vm->lock);
    return error;
}

/* RAM that is gone as a whole goes back to the host; a region of which some remains keeps its claim. */
static void regions_forget(struct axvm *vm, gpa_t start, uint64_t size)
{
    unsigned count = 0;

    for (unsigned i = 0; i < vm->region_count; i++) {
        const struct vm_region entry = vm->regions[i];

        if (entry.region.gpa.v >= start.v && entry.region.size <= size &&
            entry.region.gpa.v - start.v <= size - entry.region.size) {
            region_release(&entry);
        } else {
            vm->regions[count++] = entry;
        }
    }
    vm->region_count = count;
}

int axvm_unmap_region(struct axvm *vm, gpa_t start, uint64_t size)
{
    int error = check_built(vm);

    if (error == AXVM_OK) {
        error = range_check(vm, start, size);
    }
    if (error != AXVM_OK) {
        return error;
    }
    spin_lock(&vm->lock);
    error = addrspace_unmap(&vm->as, start, size);
    if (error == AXVM_OK) {
        regions_forget(vm, start, size);
    }
    spin_unlock(&vm->lock);
    return error;
}

int axvm_protect_region(struct axvm *vm, gpa_t start, uint64_t size, uint32_t flags)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_protect(&vm->as, start, size, flags) : error;
}

int axvm_translate(struct axvm *vm, gpa_t addr, hpa_t *target, uint32_t *flags)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_translate(&vm->as, addr, target, flags, NULL) : error;
}

hpa_t axvm_page_table_root(const struct axvm *vm)
{
    return vm->as.table.root;
}

/* The pages of [start, start+size) as runs of host memory, those that lie side by side joined. */
static int load_region(struct axvm *vm, gpa_t start, uint64_t size, struct axvm_buffer *buffers, size_t max)
{
    size_t count = 0;

    while (size > 0) {
        void *data;
        uint64_t run;
        int error = addrspace_buffer(&vm->as, start, &data, &run);

        if (error != AXVM_OK) {
            return fail(error, "VM %u: image region: no RAM at 0x%llx", vm->id, (ull)start.v);
        }
        run = run < size ? run : size;
        if (count > 0 && (char *)buffers[count - 1].data + buffers[count - 1].size == data) {
            buffers[count - 1].size += run;
        } else if (count == max) {
            return fail(AXVM_ENOMEM, "VM %u: image region: more than %zu pieces", vm->id, max);
        } else {
            buffers[count++] = (struct axvm_buffer){data, run};
        }
        start.v += run;
        size -= run;
    }
    return (int)count;
}

int axvm_image_load_region(struct axvm *vm, gpa_t start, uint64_t size, struct axvm_buffer *buffers, size_t max)
{
    int error = check_built(vm);

    if (error != AXVM_OK) {
        return error;
    }
    if (max > INT32_MAX || size - 1 > UINT64_MAX - start.v) {
        return fail(AXVM_EINVAL, "VM %u: image region at 0x%llx, 0x%llx bytes", vm->id, (ull)start.v, (ull)size);
    }
    spin_lock(&vm->lock);
    error = vm_is_quiet(vm) ? load_region(vm, start, size, buffers, max) : AXVM_EBADSTATE;
    spin_unlock(&vm->lock);
    return error;
}

int axvm_read_guest(struct axvm *vm, gpa_t from, void *to, size_t size)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_read(&vm->as, from, to, size) : error;
}

int axvm_write_guest(struct axvm *vm, gpa_t to, const void *from, size_t size)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_write(&vm->as, to, from, size) : error;
}

int axvm_dirty_log_start(struct axvm *vm)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_log_start(&vm->as) : error;
}

int axvm_dirty_log_fetch(struct axvm *vm, gpa_t start, uint64_t size, uint8_t *bitmap)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_log_fetch(&vm->as, start, size, bitmap) : error;
}

int axvm_dirty_log_stop(struct axvm *vm)
{
    int error = check_built(vm);

    return error == AXVM_OK ? addrspace_log_stop(&vm->as) : error;
}
