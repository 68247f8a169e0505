/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an architecture gives to the core: one const table. The library is told which at axvm_library_init(); a metal
 * image links one, the unit tests link all.
 *
 * A VM and its vCPUs are allocated by the core with the sizes given here; the architecture's structures begin with
 * struct axvm and struct axvm_vcpu.
 */
#ifndef AXVM_CORE_ARCH_H
#define AXVM_CORE_ARCH_H

#include "core/vcpu.h"
#include <axvm/hal.h>

struct arch_device_type {
    enum axvm_emu_type type;
    /* Make the device (from the VM's arena), and add it with axvm_add_device(). */
    int (*create)(struct axvm *vm, const struct axvm_emu_config *config);
};

struct axvm_arch {
    const char *name;
    const struct axvm_platform *platform;
    size_t vm_size;
    size_t vcpu_size;
    const struct arch_device_type *devices; /* `devices_count` rows; types not listed can't be emulated */
    size_t devices_count;

    /* Whether the host has what only this architecture asks of it (axvm/hal.h says so where it is). NULL: nothing. */
    bool (*host_is_complete)(const struct axvm_hal *host);

    /* The calling pCPU. */
    bool (*supported)(void);
    int (*cpu_enable)(void);
    void (*cpu_disable)(void);

    /*
     * VM: vm_init sets up vm->as (format, width, VMID) and whatever is per VM, before vCPUs and devices exist. vm_fini
     * undoes what the arena doesn't (VMID); also called after a failed vm_init. vm_reset: as after power-on, no vCPU
     * runs. vm_time_shift: the guest's time stood still for `ticks` (suspend).
     */
    int (*vm_init)(struct axvm *vm);
    void (*vm_fini)(struct axvm *vm);
    void (*vm_reset)(struct axvm *vm);
    void (*vm_boot)(struct axvm *vm); /* loaded -> running: guest time starts */
    void (*vm_time_shift)(struct axvm *vm, uint64_t ticks);

    /*
     * vCPU: vcpu_init once after creation; vcpu_start puts it into the architecture's entry state (called on its own
     * pCPU before it runs, never while resident): entry and argument as the guest ABI has them.
     */
    int (*vcpu_init)(struct axvm_vcpu *vcpu);
    void (*vcpu_start)(struct axvm_vcpu *vcpu, gpa_t entry, uint64_t arg);

    /* Bring the registers into the hardware of the calling pCPU, and back into memory. */
    void (*vcpu_load)(struct axvm_vcpu *vcpu);
    void (*vcpu_save)(struct axvm_vcpu *vcpu);

    /*
     * Run the resident vCPU until `exit` has something for the core or the host. Honours vcpu->requests: on
     * VCPU_REQ_LEAVE it returns with AXVM_EXIT_STOPPED if the VM isn't running; on VCPU_REQ_RELOAD it does what a save
     * and a load would, or returns with AXVM_EXIT_STOPPED and the bit still set, and the core does. After
     * AXVM_EXIT_STOPPED and AXVM_EXIT_CPU_DOWN the core looks at VM, requests and power, and comes back if there is
     * nothing to stop for. Kinds MMIO_*, IO_*, SYSREG_* and NESTED_PAGE_FAULT are answered by the core, which then
     * calls vcpu_complete (a back end that answers them itself never returns them).
     */
    void (*vcpu_run)(struct axvm_vcpu *vcpu, struct axvm_exit *exit);
    /*
     * Finish the access that `exit` described: value read (already extended to the register), or error != 0: the
     * guest's own bus error. Not called for a NESTED_PAGE_FAULT that was answered: the guest tries again.
     */
    void (*vcpu_complete)(struct axvm_vcpu *vcpu, const struct axvm_exit *exit, int error, uint64_t value);

    /* Whether an interrupt would end its wait. Any pCPU. */
    bool (*vcpu_pending)(struct axvm_vcpu *vcpu);

    void (*set_return_value)(struct axvm_vcpu *vcpu, uint64_t value);
    void (*set_gpr)(struct axvm_vcpu *vcpu, unsigned reg, uint64_t value);

    /*
     * Interrupts; any pCPU. irq_pulse: an edge, private ones to `vcpu`; the core calls it once for one that the
     * platform says is wired (irq_min to irq_max), however many vCPUs are asked for. irq_line: level of a wired
     * interrupt.
     */
    int (*irq_pulse)(struct axvm_vcpu *vcpu, uint32_t irq);
    void (*irq_line)(struct axvm *vm, uint32_t irq, bool level);

    /* axvm_signal_msi() of a VM that exists; any pCPU. NULL: there is no such thing. */
    int (*msi)(struct axvm *vm, uint64_t address, uint32_t device_id, uint32_t data);

    /*
     * axvm_console_input() of a VM that has no device for it; any pCPU, under vm->lock. How many were taken. NULL:
     * there is no such thing.
     */
    size_t (*console_input)(struct axvm *vm, const char *bytes, size_t count);

    /*
     * The guest's device tree, written sequentially: properties of the root (compatible, interrupt-parent, ...), of
     * /cpus (NULL: none but #address-cells 2 and #size-cells 0, which are there), of a /cpus/cpu node (`reg` of two
     * cells, compatible, ...; device_type is there), and the nodes that only this architecture has. 0 or a negative
     * libfdt error. fdt_irq: the property `interrupts` of a device with this (level-sensitive) wired interrupt, in the
     * cells that the VM's interrupt controller wants.
     */
    int (*fdt_root)(struct axvm *vm, void *fdt);
    int (*fdt_cpus)(struct axvm *vm, void *fdt);
    int (*fdt_cpu)(struct axvm_vcpu *vcpu, void *fdt);
    int (*fdt_nodes)(struct axvm *vm, void *fdt);
    int (*fdt_irq)(struct axvm *vm, void *fdt, uint32_t irq);
};

#endif
