/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One address space of emulated devices: a sorted array, looked up by binary search without a lock.
 *
 * Devices come and go only while no vCPU of the VM runs, so readers never see the array move.
 */
#ifndef AXVM_DEVICE_BUS_H
#define AXVM_DEVICE_BUS_H

#include <axvm/device.h>

#define BUS_MAX_DEVICES 32U

/*
 * What a device of the library's own may return for an access that has to wait for another vCPU, where the architecture
 * knows it (aarch64): the vCPU comes again with the same access, and with no other, before its guest goes on.
 */
#define BUS_AGAIN 1

struct bus {
    unsigned count;
    struct bus_entry {
        uint64_t base;
        uint64_t last; /* inclusive: a range may end at 2^64 - 1 */
        struct axvm_device *device;
    } entries[BUS_MAX_DEVICES]; /* sorted by base, disjoint */
};

/*
 * AXVM_EINVAL (empty, wrapping, no read or write), AXVM_EEXIST (overlap; *other is the device in the way), AXVM_ENOMEM
 * (full). Neither logs: the caller knows the names.
 */
int bus_add(struct bus *bus, struct axvm_device *device, struct axvm_device **other);
int bus_remove(struct bus *bus, struct axvm_device *device); /* AXVM_ENOENT */

/* The device that answers to all of [addr, addr + size), or NULL (also when an access sticks out of it). */
struct axvm_device *bus_find(const struct bus *bus, uint64_t addr, unsigned size);

/* The same, by its entry, which becomes *hint. */
const struct bus_entry *bus_find_from(const struct bus *bus, const struct bus_entry **hint, uint64_t addr,
                                      unsigned size);

/* An entry that answers to nothing: where hints begin. */
extern const struct bus_entry bus_nothing;

/*
 * The same, beginning with the entry that answered last: *hint is the caller's to keep. Guests come back to the device
 * they were at. The access doesn't wrap around the end of the address space.
 */
static inline const struct bus_entry *bus_find_near(const struct bus *bus, const struct bus_entry **hint, uint64_t addr,
                                                    unsigned size)
{
    const struct bus_entry *entry = *hint;

    if (__builtin_expect(addr >= entry->base && addr + (size - 1) <= entry->last, 1)) {
        return entry;
    }
    return bus_find_from(bus, hint, addr, size);
}

/* The part of `value` that an access of `size` bytes (1 to 8) carries. */
static inline uint64_t bus_narrow(uint64_t value, unsigned size)
{
    unsigned unused = (0 - 8 * size) % 64;

    return value << unused >> unused;
}

/*
 * One access. AXVM_ENOENT: no device answers; otherwise what the device returned. A read's value is zero-extended and
 * never wider than `size`.
 */
int bus_read(const struct bus *bus, struct axvm_vcpu *vcpu, uint64_t addr, unsigned size, uint64_t *value);
int bus_write(const struct bus *bus, struct axvm_vcpu *vcpu, uint64_t addr, unsigned size, uint64_t value);

#endif
