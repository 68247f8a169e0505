/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers of the instruction decoders share: a guest, beside a device that sees only accesses that it has. */
#ifndef AXVM_FUZZ_ANY_DEVICE_H
#define AXVM_FUZZ_ANY_DEVICE_H

#include "fuzz.h"
#include "support/machine.h"

#define DEVICE UINT64_C(0x20000000)
#define DEVICE_SIZE UINT64_C(0x2004)

static struct input in;
static struct axvm *any_vm;
static unsigned accesses;

static int device_read(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    (void)vcpu;
    accesses++;
    require(size <= 8 && (size & (size - 1)) == 0 && offset % size == 0 && offset + size <= device->size);
    *value = UINT64_C(0x8877665544332211) >> (64 - 8 * size);
    return (offset & 0x700) == 0x700 ? AXVM_EINVAL : AXVM_OK;
}

static int device_write(struct axvm_device *device, struct axvm_vcpu *vcpu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    uint64_t unused;

    require(size == 8 || value >> (8 * size) == 0);
    return device_read(device, vcpu, offset, size, &unused);
}

static void (*any_execute)(void);

static void any_guest(void)
{
    while (in.size > 0) {
        any_execute();
    }
}

/* A guest that does `execute` until there is no more input. */
static inline void any_device_run(int (*setup)(void **state), void (*execute)(void))
{
    static const struct axvm_device_ops ops = {.name = "any", .read = device_read, .write = device_write};
    static struct axvm_device device;
    void *state = NULL;

    require(setup(&state) == 0);
    any_vm = machine_loaded_vm(1, NULL);
    device = (struct axvm_device){.ops = &ops, .base = DEVICE, .size = DEVICE_SIZE};
    require(axvm_add_device(any_vm, &device) == AXVM_OK && axvm_boot(any_vm) == AXVM_OK);
    any_execute = execute;
    require(machine_run(any_vm, 0, any_guest).kind == AXVM_EXIT_EXTERNAL_INTERRUPT);
    require(machine_teardown(&state) == 0);
}

#endif
