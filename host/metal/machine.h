/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine is made of, as its device tree says it (Devicetree Specification 0.4; the bindings are those of the
 * Linux kernel's Documentation/devicetree/bindings). The tree comes from firmware, and is checked like any other input.
 */
#ifndef METAL_MACHINE_H
#define METAL_MACHINE_H

#include "rtc.h"
#include "uart.h"
#include <axvm/types.h>

#define MACHINE_MODEL_MAX 48U
#define MACHINE_ISA_MAX 1024U
#define MACHINE_MAX_DEVICES 12U
#define MACHINE_MAX_REDISTS 8U
#define MACHINE_MAX_IMSIC_REGS 8U

/* The virtual timer's interrupt, as the Base System Architecture asks for it; guests get it as it is. */
#define MACHINE_VIRTUAL_TIMER_IRQ 27U

/* The arm64 boot protocol lets a device tree have up to 2 MiB. */
#define MACHINE_FDT_MAX ((size_t)MIB(2))

/* Interrupts are INTIDs, 0 when there is none. */
struct machine_aarch64 {
    bool psci_smc; /* CPUs are started by SMC calls to firmware of PSCI 0.2 or later */
    uint32_t hyp_timer_irq;
    struct machine_gic {
        struct range dist;
        unsigned redist_count;
        struct range redist[MACHINE_MAX_REDISTS];
        uint64_t redist_stride; /* 0: as GICR_TYPER tells */
        uint32_t maintenance_irq;
    } gic;
};

#define MACHINE_NONE UINT32_MAX

/*
 * What interrupts S mode: a PLIC or an APLIC or neither, of several the one that the UART is at; and perhaps IMSICs.
 * All contexts and interrupt files lie within the registers. By pCPU: as machine.cpu_id.
 */
struct machine_riscv64 {
    struct {
        struct range regs; /* empty: there is no PLIC */
        uint32_t sources;  /* the highest's number, at most 1023 */
        uint32_t context[AXVM_MAX_PCPUS]; /* of the pCPU's S mode, or MACHINE_NONE */
    } plic;
    struct {
        struct range regs; /* of the S-level domain; empty: there is no APLIC */
        uint32_t sources;  /* the highest's number, at most 1023 */
        bool msi;          /* sends MSIs to the IMSICs; else each pCPU has an interrupt delivery control (IDC) */
        uint32_t idc[AXVM_MAX_PCPUS]; /* or MACHINE_NONE */
    } aplic;
    struct {
        unsigned regs_count; /* 0: there are no IMSICs */
        struct range regs[MACHINE_MAX_IMSIC_REGS];
        uint32_t ids;       /* the highest interrupt identity */
        uint32_t guest_ids; /* the same of guests' files */
        unsigned guest_bits, hart_bits, group_bits, group_shift; /* of a file's address (RISC-V AIA 1.0, 3.6) */
        uint64_t file[AXVM_MAX_PCPUS]; /* the pCPU's S-level interrupt file, guests' after it; 0: it has none */
    } imsic;
    char isa[MACHINE_ISA_MAX]; /* made of "riscv,isa-extensions", where the tree has no "riscv,isa" */
};

/*
 * Addresses are the CPU's (through the `ranges` of all buses above). `problem` is the first reason why this machine
 * can't be used, else NULL.
 */
struct machine {
    const char *problem;
    char model[MACHINE_MODEL_MAX];
    struct ranges memory; /* RAM that is the host's: without what firmware keeps for itself or for others */
    struct ranges mapped; /* RAM that may be mapped: all but `no-map` reservations; frame 0 is in neither */
    struct ranges aside;  /* RAM that is set aside for guests: children of /reserved-memory without `no-map` */
    struct range initrd;  /* empty: none */

    unsigned cpu_count;
    uint64_t cpu_id[AXVM_MAX_PCPUS]; /* MPIDR_EL1 affinity fields; hart ids */
    unsigned cpu_ignored;            /* beyond AXVM_MAX_PCPUS, disabled, or of no use */
    const char *isa;                 /* riscv64: "riscv,isa" of all CPUs, as the device tree has it; else NULL */

    uint64_t timer_hz; /* 0: the CPU knows */
    struct uart uart;  /* of the console */
    struct rtc rtc;

    unsigned device_count;
    struct range device[MACHINE_MAX_DEVICES]; /* registers that the host uses: interrupt controllers, UART, clock */
    union {
        struct machine_aarch64 aarch64;
        struct machine_riscv64 riscv64;
    };
};

/* What machines of one architecture have, and how their device trees say it. */
struct machine_kind;
extern const struct machine_kind machine_aarch64, machine_riscv64;

/*
 * Look at the device tree at `fdt`, of which `size` bytes may be read. AXVM_EINVAL or AXVM_EUNSUPPORTED:
 * machine->problem says why; what else was found is there nevertheless, the UART above all.
 */
int machine_discover(struct machine *machine, const struct machine_kind *kind, const void *fdt, size_t size);

#endif
