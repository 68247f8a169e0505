/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine is made of, as its device tree says it (Devicetree Specification 0.4; the bindings are those of the
 * Linux kernel's Documentation/devicetree/bindings). The tree comes from firmware, and is checked like any other input.
 */
#ifndef METAL_MACHINE_H
#define METAL_MACHINE_H

#include "ranges.h"
#include <axvm/types.h>

#define MACHINE_MODEL_MAX 48U
#define MACHINE_MAX_REDISTS 8U

/* The virtual timer's interrupt, as the Base System Architecture asks for it; guests get it as it is. */
#define MACHINE_VIRTUAL_TIMER_IRQ 27U

/* The arm64 boot protocol lets a device tree have up to 2 MiB. */
#define MACHINE_FDT_MAX ((size_t)MIB(2))

/*
 * GIC interrupt numbers (INTIDs), 0 when there is none. Addresses are the CPU's (through the `ranges` of all buses
 * above). `problem` is the first reason why this machine can't be used, else NULL.
 */
struct machine {
    const char *problem;
    char model[MACHINE_MODEL_MAX];
    struct ranges memory; /* RAM that is the host's: without what firmware keeps for itself or for others */
    struct ranges mapped; /* RAM that may be mapped: all but `no-map` reservations; frame 0 is in neither */
    struct ranges aside;  /* RAM that is set aside for guests: children of /reserved-memory without `no-map` */
    struct range initrd;  /* empty: none */

    unsigned cpu_count;
    uint64_t cpu_id[AXVM_MAX_PCPUS]; /* MPIDR_EL1 affinity fields */
    unsigned cpu_ignored;            /* beyond AXVM_MAX_PCPUS, disabled, or not started by PSCI */
    bool psci_smc;                   /* CPUs are started by SMC calls to firmware of PSCI 0.2 or later */

    struct {
        struct range dist;
        unsigned redist_count;
        struct range redist[MACHINE_MAX_REDISTS];
        uint64_t redist_stride; /* 0: as GICR_TYPER tells */
        uint32_t maintenance_irq;
    } gic;
    struct {
        uint32_t hyp_irq;
        uint64_t hz; /* 0: CNTFRQ_EL0 has it */
    } timer;
    struct {
        struct range regs; /* a PL011; empty: none known */
        uint32_t irq;
    } uart;
};

/*
 * Look at the device tree at `fdt`, of which `size` bytes may be read. AXVM_EINVAL or AXVM_EUNSUPPORTED:
 * machine->problem says why; what else was found is there nevertheless, the UART above all.
 */
int machine_discover(struct machine *machine, const void *fdt, size_t size);

#endif
