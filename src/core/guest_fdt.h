/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device tree a guest gets: made from its configuration, or its own dtb_path brought up to date.
 *
 * Both are called when the VM's layout is planned and its memory, vCPUs and devices exist. The result is packed:
 * fdt_totalsize() says how much of the buffer it takes.
 */
#ifndef AXVM_CORE_GUEST_FDT_H
#define AXVM_CORE_GUEST_FDT_H

#include <axvm/axvm.h>

/* Phandles of the nodes that others refer to. */
enum {
    GUEST_FDT_INTC = 1, /* the root's interrupt-parent */
    GUEST_FDT_CLOCK = 2,
    GUEST_FDT_MSI = 3, /* takes the message-signalled interrupts of devices, if there is such a thing */
    GUEST_FDT_CPU0 = 0x100, /* + vCPU id */
    GUEST_FDT_CPU_INTC0 = 0x200, /* + vCPU id: a hart's own interrupt controller (riscv64) */
};

/*
 * Write the VM's device tree into `buffer` (aligned to 8 bytes):
 *
 *   /             #address-cells and #size-cells 2, model; the rest is the architecture's (fdt_root)
 *   /chosen       bootargs, linux,initrd-start and -end, stdout-path: the node whose `reg` begins with the address of
 *                 the configuration's first console
 *   /memory@..    one for each region of RAM that the guest may read and write
 *   /cpus/cpu@..  one for each vCPU: device_type; the rest is the architecture's (fdt_cpu), `reg` of two cells
 *   and the architecture's nodes (fdt_nodes) and those of the devices (fdt_node), inside the root.
 *
 * AXVM_ENOMEM: `size` is too small; AXVM_EINVAL: an architecture or a device described itself wrongly.
 */
int guest_fdt_build(struct axvm *vm, void *buffer, size_t size);

/*
 * Copy the user's device tree into `buffer` (both aligned to 8 bytes) and set in it what the VM decides:
 *
 *   /memory..     replaced by the VM's RAM
 *   /cpus         CPUs whose `reg` is that of none of the VM's vCPUs are gone, and cpu-map with them; a vCPU without a
 *                 node is worth a warning
 *   /chosen       bootargs if the configuration has a cmdline; linux,initrd-start and -end as is true
 *
 * AXVM_EINVAL: it isn't a sound device tree, or its cells can't say where the RAM is; AXVM_ENOMEM: `size` is too small.
 */
int guest_fdt_patch(struct axvm *vm, const void *dtb, size_t dtb_size, void *buffer, size_t size);

#endif
