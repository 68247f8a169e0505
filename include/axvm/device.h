/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emulated devices. A device is one struct axvm_device, usually the first member of a larger structure that one short
 * file defines. Embedders add their own with axvm_add_device().
 */
#ifndef AXVM_DEVICE_H
#define AXVM_DEVICE_H

#include <axvm/types.h>

struct axvm;
struct axvm_vcpu;
struct axvm_device;

/* What addresses a device answers to. */
enum axvm_space {
    AXVM_SPACE_MMIO,
    AXVM_SPACE_PORT,
    AXVM_SPACE_SYSREG,
    AXVM_SPACE_COUNT
};

struct axvm_device_ops {
    const char *name;

    /*
     * One access of `size` bytes (1, 2, 4 or 8) at `offset` from the device's base; it lies wholly within the device's
     * range (AXVM_SPACE_SYSREG: each address is one register of 8 bytes). Called on the accessing vCPU's pCPU, by any
     * number of vCPUs at once: the device locks itself. A read gives the value zero-extended. Return AXVM_OK, or an
     * error to have the guest see a bus error.
     */
    int (*read)(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value);
    int (*write)(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value);

    /* Back to the state after power-on. No vCPU of the VM runs. May be NULL. */
    void (*reset)(struct axvm_device *device);

    /* It is off the bus, removed or with its VM: cancel timers. No vCPU of the VM runs. May be NULL. */
    void (*removed)(struct axvm_device *device);

    /* Bytes from the console's user; returns how many were taken. NULL: the device takes no input. */
    size_t (*input)(struct axvm_device *device, const char *bytes, size_t count);

    /*
     * Describe the device in the guest's device tree `fdt` (being written sequentially, inside the root node).
     * Returns 0 or a negative libfdt error. NULL: not described.
     */
    int (*fdt_node)(struct axvm_device *device, void *fdt);
};

struct axvm_device {
    const struct axvm_device_ops *ops;
    struct axvm *vm; /* set by axvm_add_device() */
    enum axvm_space space;
    uint64_t base; /* first address */
    uint64_t size; /* in addresses, not 0; base + size doesn't wrap */
    uint32_t irq;  /* wired interrupt, 0 = none */
    struct axvm_device *next; /* of the VM's devices; owned by the library */
};

/*
 * Put a device on its VM's bus. The caller keeps the memory, which must live as long as the VM or until removed.
 * Legal while no vCPU runs. Errors: AXVM_EINVAL (empty, wrapping), AXVM_EEXIST (overlaps another device or RAM; the log
 * names both), AXVM_ENOMEM, AXVM_EBADSTATE (the VM runs), AXVM_EBUSY (it is being reset).
 */
int axvm_add_device(struct axvm *vm, struct axvm_device *device);
int axvm_remove_device(struct axvm *vm, struct axvm_device *device);

/*
 * Drive the device's wired interrupt. Level-sensitive or edge-triggered is what the guest configured. Any pCPU; takes
 * the interrupt controller's lock, so a device may hold its own lock but not the other way round.
 */
void axvm_device_set_irq(struct axvm_device *device, bool level);

#endif
