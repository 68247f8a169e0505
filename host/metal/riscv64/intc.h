/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What interrupts a hart in HS mode (sip): the kick, which is a software interrupt by SBI, or a message to the hart's
 * IMSIC where there is one; the timer; and the UART, through a PLIC, an APLIC, or an APLIC and the IMSIC. sstatus.SIE
 * is never set: interrupts end a guest's run, or a WFI.
 */
#ifndef METAL_RISCV64_INTC_H
#define METAL_RISCV64_INTC_H

#include "machine.h"
#include <axvm/hal.h>

struct percpu;

/* The interrupt identity of a kick at an IMSIC. */
#define INTC_IMSIC_KICK 1U

/* What struct percpu has for it. */
struct percpu_intc {
    bool sstc;               /* it has stimecmp, and firmware lets us have it */
    uint64_t rescue;         /* ticks that its timer is set for at most; 0: any */
    volatile uint8_t *claim; /* PLIC: the context's claim register; APLIC: the IDC's */
    volatile uint32_t *kick; /* IMSIC: where a kick is sent to; NULL: it is kicked by SBI */
    hpa_t guest_file;        /* IMSIC: the page of the first guest interrupt file; 0: there is none */
    uint32_t guest_ids;      /* and its highest identity */
};

/* What all pCPUs share; once, before any intc_cpu_init(). */
void intc_init(const struct machine *machine);

/* The calling pCPU's own part, with the kick and the timer's interrupt enabled. AXVM_ENOENT: it isn't there. */
int intc_cpu_init(const struct machine *machine, struct percpu *self);

/* Have the UART's interrupt come to the calling pCPU, or to another if it can't. */
void intc_enable_uart(uint32_t irq);

/* Make the pCPU take an interrupt. What was written before is visible to it then. */
void intc_kick(const struct percpu *target);

/* axvm_hal.irq_set_active, and the end of AXVM_IRQ_GUEST: no guest's interrupt comes as a physical one here. */
void intc_set_active(uint32_t irq, bool active);
void intc_complete(uint32_t irq);

#endif
