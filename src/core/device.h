/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a VM, of all its buses. */
#ifndef AXVM_CORE_DEVICE_H
#define AXVM_CORE_DEVICE_H

#include "core/vm.h"

/* Make the devices that the configuration asks for. */
int device_create_all(struct axvm *vm);

/*
 * For a device type's create function: a zeroed structure of `size` bytes from the VM's arena that begins with a struct
 * axvm_device, filled in for MMIO where the configuration has it, of `length` bytes. NULL (logged): no memory.
 */
void *device_new(struct axvm *vm, const struct axvm_emu_config *config, const struct axvm_device_ops *ops, size_t size,
                 uint64_t length);

/*
 * For a device's fdt_node: begin the node "<name>@<base>", with compatible (`length` bytes, NULs included), reg and, if
 * it has one, its interrupt. The caller adds what is its own, and ends the node. Negative: a libfdt error.
 */
int device_fdt_begin(const struct axvm_device *device, void *fdt, const char *name, const char *compatible, int length);

/* As after power-on. */
void device_reset_all(struct axvm *vm);

/* The VM has no devices any more. They keep their memory. */
void device_forget_all(struct axvm *vm);

/* An MMIO device that answers to any of [start, start+size), which doesn't wrap, or NULL. */
const struct axvm_device *device_overlapping(const struct axvm *vm, uint64_t start, uint64_t size);

#endif
