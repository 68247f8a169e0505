/* SPDX-License-Identifier: Apache-2.0 */
#include "device/bus.h"

#include <string.h>

const struct bus_entry bus_nothing = {.base = UINT64_MAX};

/* How many entries begin at or below `addr`: the last of them is the only one that may hold it. */
static unsigned entries_upto(const struct bus *bus, uint64_t addr)
{
    unsigned low = 0, high = bus->count;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (bus->entries[mid].base <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

int bus_add(struct bus *bus, struct axvm_device *device, struct axvm_device **other)
{
    uint64_t base = device->base;
    uint64_t last = base + (device->size - 1);
    unsigned at = entries_upto(bus, base);

    if (device->size == 0 || last < base || !device->ops || !device->ops->read || !device->ops->write) {
        return AXVM_EINVAL;
    }
    if (at > 0 && bus->entries[at - 1].last >= base) {
        *other = bus->entries[at - 1].device;
        return AXVM_EEXIST;
    }
    if (at < bus->count && bus->entries[at].base <= last) {
        *other = bus->entries[at].device;
        return AXVM_EEXIST;
    }
    if (bus->count == BUS_MAX_DEVICES) {
        return AXVM_ENOMEM;
    }
    memmove(&bus->entries[at + 1], &bus->entries[at], (bus->count - at) * sizeof(bus->entries[0]));
    bus->entries[at] = (struct bus_entry){.base = base, .last = last, .device = device};
    bus->count++;
    return AXVM_OK;
}

int bus_remove(struct bus *bus, struct axvm_device *device)
{
    for (unsigned i = 0; i < bus->count; i++) {
        if (bus->entries[i].device == device) {
            bus->count--;
            memmove(&bus->entries[i], &bus->entries[i + 1], (bus->count - i) * sizeof(bus->entries[0]));
            bus->entries[bus->count] = bus_nothing; /* there may be hints to it */
            return AXVM_OK;
        }
    }
    return AXVM_ENOENT;
}

/*
 * RAM lies above all devices as a rule, and the first touch of a page comes by here: so look at the last entry first.
 */
const struct bus_entry *bus_find_from(const struct bus *bus, const struct bus_entry **hint, uint64_t addr,
                                      unsigned size)
{
    unsigned n = bus->count;
    const struct bus_entry *entry;

    if (n != 0 && addr < bus->entries[n - 1].base) {
        n = entries_upto(bus, addr);
    }
    if (n == 0 || size == 0) {
        return NULL;
    }
    entry = &bus->entries[n - 1];
    if (addr > entry->last || size - 1 > entry->last - addr) {
        return NULL;
    }
    *hint = entry;
    return entry;
}

struct axvm_device *bus_find(const struct bus *bus, uint64_t addr, unsigned size)
{
    const struct bus_entry *unused;
    const struct bus_entry *entry = bus_find_from(bus, &unused, addr, size);

    return entry != NULL ? entry->device : NULL;
}

int bus_read(const struct bus *bus, struct axvm_vcpu *vcpu, uint64_t addr, unsigned size, uint64_t *value)
{
    struct axvm_device *device = bus_find(bus, addr, size);
    int error;

    if (!device) {
        return AXVM_ENOENT;
    }
    *value = 0;
    error = device->ops->read(device, vcpu, addr - device->base, size, value);
    *value = bus_narrow(*value, size);
    return error;
}

int bus_write(const struct bus *bus, struct axvm_vcpu *vcpu, uint64_t addr, unsigned size, uint64_t value)
{
    struct axvm_device *device = bus_find(bus, addr, size);

    if (!device) {
        return AXVM_ENOENT;
    }
    return device->ops->write(device, vcpu, addr - device->base, size, bus_narrow(value, size));
}
